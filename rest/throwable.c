/*
 * A failure as Java's own serialization has it, since Flink's client reads nothing else: an
 * org.apache.flink.util.SerializedThrowable without the original exception's bytes.  Three
 * strings stand between constants: message, text of the stack, class.
 */
#include "rest/job_json.h"

#include "base/mem.h"

/* Stream header and class descriptions of SerializedThrowable, Exception, Throwable, in hex. */
static const char before_message[] =
    "aced0005737200296f72672e6170616368652e666c696e6b2e7574696c2e53657269616c697a65645468726f7761626c"
    "6565169df51fa713f30200034c001966756c6c537472696e676966696564537461636b54726163657400124c6a617661"
    "2f6c616e672f537472696e673b4c00166f726967696e616c4572726f72436c6173734e616d6571007e00015b00137365"
    "7269616c697a6564457863657074696f6e7400025b42787200136a6176612e6c616e672e457863657074696f6ed0fd1f"
    "3e1a3b1cc4020000787200136a6176612e6c616e672e5468726f7761626c65d5c635273977b8cb0300044c0005636175"
    "73657400154c6a6176612f6c616e672f5468726f7761626c653b4c000d64657461696c4d65737361676571007e00015b"
    "000a737461636b547261636574001e5b4c6a6176612f6c616e672f537461636b5472616365456c656d656e743b4c0014"
    "73757070726573736564457863657074696f6e737400104c6a6176612f7574696c2f4c6973743b787070";

/* An empty StackTraceElement[] and an empty list of suppressed exceptions, in hex. */
static const char behind_message[] =
    "7572001e5b4c6a6176612e6c616e672e537461636b5472616365456c656d656e743b02462a3c3cfd2239020000787000"
    "0000007372001f6a6176612e7574696c2e436f6c6c656374696f6e7324456d7074794c6973747ab817b43ca79ede0200"
    "00787078";

#define TC_STRING 0x74
#define TC_NULL   0x70
#define STR_MAX   65535 /* a Java string's length has 16 bits here */

struct bytes {
	unsigned char *data;
	size_t len;
};

static unsigned nibble(char c)
{
	return c <= '9' ? (unsigned)c - '0' : (unsigned)c - 'a' + 10;
}

static void put_hex(struct bytes *b, const char *hex)
{
	for (; *hex != '\0'; hex += 2)
		b->data[b->len++] = (unsigned char)(nibble(hex[0]) << 4 | nibble(hex[1]));
}

/* Java's modified UTF-8 has no four-byte forms, and other bytes would end the client's
 * reading: what is not ASCII becomes a question mark. */
static void put_string(struct bytes *b, const char *s)
{
	size_t len = strlen(s);

	if (len > STR_MAX)
		len = STR_MAX;
	b->data[b->len++] = TC_STRING;
	b->data[b->len++] = (unsigned char)(len >> 8);
	b->data[b->len++] = (unsigned char)len;
	for (size_t i = 0; i < len; i++)
		b->data[b->len++] = (unsigned char)s[i] < 0x80 ? (unsigned char)s[i] : '?';
}

static char *base64(struct gw_arena *a, const unsigned char *p, size_t len)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char *out = gw_alloc(a, (len + 2) / 3 * 4 + 1), *w = out;

	for (size_t i = 0; i < len; i += 3) {
		unsigned v = (unsigned)p[i] << 16;

		v |= i + 1 < len ? (unsigned)p[i + 1] << 8 : 0;
		v |= i + 2 < len ? p[i + 2] : 0;
		*w++ = digits[v >> 18];
		*w++ = digits[v >> 12 & 63];
		*w++ = i + 1 < len ? digits[v >> 6 & 63] : '=';
		*w++ = i + 2 < len ? digits[v & 63] : '=';
	}
	*w = '\0';
	return out;
}

void json_failure_cause(cJSON *to, const char *key, struct gw_arena *a, const char *class_name,
    const char *text)
{
	cJSON *o = json_object(to, key);
	size_t class_len = strlen(class_name);
	const char *message = text;
	struct bytes b = { NULL, 0 };

	/* The client prints "class: message" itself. */
	if (strncmp(text, class_name, class_len) == 0 && strncmp(text + class_len, ": ", 2) == 0)
		message = text + class_len + 2;
	b.data = gw_alloc(a,
	    sizeof(before_message) / 2 + sizeof(behind_message) / 2 + strlen(message) + strlen(text) +
		class_len + 16);
	put_hex(&b, before_message);
	put_string(&b, message);
	put_hex(&b, behind_message);
	put_string(&b, text);
	put_string(&b, class_name);
	b.data[b.len++] = TC_NULL;
	json_str(o, "class", class_name);
	json_str(o, "stack-trace", text);
	json_str(o, "serialized-throwable", base64(a, b.data, b.len));
}
