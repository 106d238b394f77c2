/* base/id.h: hex both ways, randomness. */
#include "base/id.h"

#include "t/tap.h"

int main(void)
{
	static const char *const bad[] = { "", "0", "0123456789abcdef0123456789abcde",
		"0123456789abcdef0123456789abcdef0", "0123456789abcdef0123456789abcdeg",
		" 123456789abcdef0123456789abcdef", "0123456789abcdef 0123456789abcde",
		"-1234567-89abcdef0123456789abcdef" };
	struct id128 a, b, zero = { { 0 } };
	char hex[ID_HEX_SIZE], random[64];
	unsigned seen = 0;

	is_int(id_parse(&a, "0123456789abcdef0123456789ABCDEF"), 0, "hex digits of both cases");
	is_int(a.b[0], 0x01, "the first byte is first");
	is_int(a.b[15], 0xef, "the last byte is last");
	is_str(id_hex(&a, hex), "0123456789abcdef0123456789abcdef", "printed in lower case");
	b = a;
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		is_int(id_parse(&b, bad[i]), -1, "'%s' is refused", bad[i]);
	ok(id_equal(&a, &b), "a refused text changes nothing");
	b.b[15] ^= 1;
	ok(!id_equal(&a, &b), "one bit of difference counts");
	ok(id_is_zero(&zero) && !id_is_zero(&a), "zero is zero");
	zero.b[15] = 1;
	ok(!id_is_zero(&zero), "nearly zero is not");

	id_random(&a);
	id_random(&b);
	ok(!id_equal(&a, &b) && !id_is_zero(&a), "random ids differ");
	is_int(id_parse(&b, id_hex(&a, hex)), 0, "what is printed is read");
	ok(id_equal(&a, &b), "and is the same");

	memset(random, 'x', sizeof(random));
	id_random_hex(random, 50);
	is_int(strlen(random), 50, "50 random digits");
	is_int(strspn(random, "0123456789abcdef"), 50, "all of them hex");
	is_int(random[51], 'x', "and nothing behind the NUL");
	for (unsigned i = 0; i < 50; i++)
		seen |= 1U << (random[i] <= '9' ? random[i] - '0' : random[i] - 'a' + 10);
	ok(__builtin_popcount(seen) >= 8, "of many kinds");
	id_random_hex(random, 0);
	is_str(random, "", "no digits");
	return tap_done();
}
