# Installation: make install PREFIX=/usr DESTDIR=/tmp/package
#
# A configuration that is there already is kept.

PREFIX     ?= /usr/local
BINDIR     ?= $(PREFIX)/bin
LIBDIR     ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
MANDIR     ?= $(PREFIX)/share/man
SYSCONFDIR ?= $(if $(filter /usr,$(PREFIX)),/etc,$(PREFIX)/etc)
INSTALL    ?= install
DESTDIR    ?=

MAN_PAGES    := $(wildcard man/*.[1-9])
MAN_SECTIONS := $(sort $(patsubst .%,%,$(suffix $(MAN_PAGES))))
D_CONF       := $(DESTDIR)$(SYSCONFDIR)/weir

.PHONY: install uninstall
install: all
	$(INSTALL) -d $(DESTDIR)$(BINDIR) $(DESTDIR)$(LIBDIR)/weir/jobs $(DESTDIR)$(INCLUDEDIR) $(D_CONF) \
	    $(foreach s,$(MAN_SECTIONS),$(DESTDIR)$(MANDIR)/man$(s))
	$(INSTALL) -m 755 $(PROGRAMS) $(DESTDIR)$(BINDIR)
	$(if $(JOBS),$(INSTALL) -m 644 $(JOBS) $(DESTDIR)$(LIBDIR)/weir/jobs)
	$(INSTALL) -m 644 include/weir.h $(DESTDIR)$(INCLUDEDIR)
	$(foreach s,$(MAN_SECTIONS),$(INSTALL) -m 644 $(filter %.$(s),$(MAN_PAGES)) $(DESTDIR)$(MANDIR)/man$(s) &&) :
	test -e $(D_CONF)/flink-conf.yaml || $(INSTALL) -m 644 etc/flink-conf.yaml $(D_CONF)

# All but the configuration.
uninstall:
	rm -f $(addprefix $(DESTDIR)$(BINDIR)/,$(notdir $(PROGRAMS))) \
	    $(addprefix $(DESTDIR)$(LIBDIR)/weir/jobs/,$(notdir $(JOBS))) $(DESTDIR)$(INCLUDEDIR)/weir.h \
	    $(foreach m,$(MAN_PAGES),$(DESTDIR)$(MANDIR)/man$(patsubst .%,%,$(suffix $(m)))/$(notdir $(m)))
	rmdir $(DESTDIR)$(LIBDIR)/weir/jobs $(DESTDIR)$(LIBDIR)/weir 2>/dev/null || :
