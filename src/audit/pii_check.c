/* pii_check.c - checksums and other rules of what personal data look like. */
#include "audit/pii_check.h"
#include <arpa/inet.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>
#include "base/hash.h"

#define DIGITS_MAX 24

static bool digit(char c) { return c >= '0' && c <= '9'; }
static bool letter(char c) { return (c | 32) >= 'a' && (c | 32) <= 'z'; }
static char upper(char c) { return c >= 'a' && c <= 'z' ? (char)(c - 32) : c; }

/* The digits of s as numbers; how many, at most DIGITS_MAX. */
static int digits_of(const char *s, size_t n, int *d)
{
    int k = 0;
    for (size_t i = 0; i < n && k < DIGITS_MAX; i++)
        if (digit(s[i]))
            d[k++] = s[i] - '0';
    return k;
}

static int number(const int *d, int n)
{
    int v = 0;
    for (int i = 0; i < n; i++)
        v = 10 * v + d[i];
    return v;
}

static bool all_same(const int *d, int n)
{
    for (int i = 1; i < n; i++)
        if (d[i] != d[0])
            return false;
    return true;
}

static int yes(bool holds) { return holds ? PII_YES : PII_NO; }

/* ISO/IEC 7812: from the right every second digit is doubled, and its digits added. */
static bool luhn(const int *d, int n)
{
    int sum = 0;
    for (int i = 0; i < n; i++) {
        const int x = (n - i) % 2 ? d[i] : 2 * d[i];
        sum += x > 9 ? x - 9 : x;
    }
    return sum % 10 == 0;
}

static int weighted(const int *d, const int *weight, int n)
{
    int sum = 0;
    for (int i = 0; i < n; i++)
        sum += d[i] * weight[i];
    return sum;
}

static bool date(int month, int day) { return month >= 1 && month <= 12 && day >= 1 && day <= 31; }

int pii_check_none(const char *s, size_t *n, const char *end) { (void)s, (void)n, (void)end; return PII_MAYBE; }

/* ---- addresses of the net ---- */

/* Endings of files that stand behind an @ or a point and are no domain of the top level. */
static bool ending_of_file(const char *s, size_t n)
{
    static const char *const ending[] = { "png", "jpg", "jpeg", "gif", "svg", "webp", "css", "js", "html", "htm", "php", "txt", "xml", "json", "yaml", "yml", "pdf", "exe", "dll", "so", "tar", "gz", "local", "localhost" };
    for (size_t i = 0; i < sizeof ending / sizeof *ending; i++)
        if (strlen(ending[i]) == n && !strncasecmp(s, ending[i], n))
            return true;
    return false;
}

static const char *behind_last(const char *s, size_t n, char c)
{
    const char *p = memrchr(s, c, n);
    return p ? p + 1 : s;
}

int pii_check_email(const char *s, size_t *n, const char *end)
{
    const char *at = memrchr(s, '@', *n), *top = behind_last(s, *n, '.');
    const size_t m = (size_t)(s + *n - top);
    (void)end;
    if (!at || top <= at || m < 2 || *s == '.' || at[-1] == '.')
        return PII_NO;
    for (size_t i = 0; i < m; i++)
        if (!letter(top[i]) && (signed char)top[i] >= 0 && strncasecmp(top, "xn--", m < 4 ? m : 4))
            return PII_NO;
    return yes(!ending_of_file(top, m));
}

/* Stops and marks at the end are the sentence's. */
int pii_check_url(const char *s, size_t *n, const char *end)
{
    (void)end;
    while (*n && strchr(".,;:!?*_]}'`\\|", s[*n - 1]))
        --*n;
    const char *p = memmem(s, *n, "://", 3);
    p = p ? p + 3 : s;
    const char *slash = memchr(p, '/', (size_t)(s + *n - p)), *host_end = slash ? slash : s + *n;
    const char *point = memchr(p, '.', (size_t)(host_end - p));
    return yes(point && point > p && point + 1 < host_end);
}

/* RFC 1122, 1918 and others: addresses that tell nothing of whose they are. */
static bool not_public(const unsigned char a[4])
{
    return a[0] == 0 || a[0] == 10 || a[0] == 127 || a[0] >= 224 || (a[0] == 172 && a[1] / 16 == 1) || (a[0] == 192 && a[1] == 168) || (a[0] == 169 && a[1] == 254);
}

int pii_check_ipv4(const char *s, size_t *n, const char *end)
{
    char text[20];
    unsigned char a[4];
    const char *slash = memchr(s, '/', *n);
    const size_t m = slash ? (size_t)(slash - s) : *n;
    (void)end;
    if (m >= sizeof text)
        return PII_NO;
    memcpy(text, s, m);
    text[m] = 0;
    if (inet_pton(AF_INET, text, a) != 1)
        return PII_NO;
    return not_public(a) ? 20 : PII_YES;
}

/* a::b may be a name of C++: an address has digits here, and four characters. */
int pii_check_ipv6(const char *s, size_t *n, const char *end)
{
    char text[INET6_ADDRSTRLEN];
    unsigned char a[16];
    size_t n_digit = 0, n_hex = 0;
    (void)end;
    for (size_t k = 0; k < *n; k++)
        n_digit += digit(s[k]), n_hex += s[k] != ':';
    if (*n >= sizeof text || !n_digit || n_hex < 4)
        return PII_NO;
    memcpy(text, s, *n);
    text[*n] = 0;
    if (inet_pton(AF_INET6, text, a) != 1)
        return PII_NO;
    int i = 0;
    while (i < 15 && !a[i])
        i++;
    /* None, one's own machine, one's own link or net. */
    return i == 15 || (a[0] == 0xfe && a[1] >= 0x80) || (a[0] & 0xfe) == 0xfc ? 10 : PII_YES;
}

int pii_check_mac(const char *s, size_t *n, const char *end)
{
    bool zeros = true, ones = true;
    (void)end;
    for (size_t i = 0; i < *n; i++)
        if (digit(s[i]) || letter(s[i])) {
            zeros &= s[i] == '0';
            ones &= upper(s[i]) == 'F';
        }
    return yes(!zeros && !ones);
}

/* ---- money ---- */

/* Base58Check: 25 bytes, of which the last four begin the SHA-256 of the SHA-256 of the others. */
int pii_check_base58(const char *s, size_t *n, const char *end)
{
    static const char alphabet[] = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    unsigned char b[25] = { 0 }, sum[SHA256_BYTES];
    (void)end;
    for (size_t i = 0; i < *n; i++) {
        const char *p = memchr(alphabet, s[i], 58);
        int carry = p ? (int)(p - alphabet) : -1;
        if (carry < 0)
            return PII_NO;
        for (int k = 24; k >= 0; k--) {
            carry += 58 * b[k];
            b[k] = (unsigned char)carry;
            carry >>= 8;
        }
        if (carry)
            return PII_NO;
    }
    sha256_bytes(b, 21, sum);
    sha256_bytes(sum, sizeof sum, sum);
    return yes((b[0] == 0 || b[0] == 5) && !memcmp(sum, b + 21, 4));
}

static uint32_t polymod(uint32_t sum, int v)
{
    static const uint32_t gen[5] = { 0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3 };
    const uint32_t top = sum >> 25;
    sum = (sum & 0x1ffffff) << 5 ^ (uint32_t)v;
    for (int i = 0; i < 5; i++)
        if (top >> i & 1)
            sum ^= gen[i];
    return sum;
}

/* BIP 173 and 350, of the readable part "bc". */
int pii_check_bech32(const char *s, size_t *n, const char *end)
{
    static const char alphabet[] = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";
    static const int prefix[] = { 'b' >> 5, 'c' >> 5, 0, 'b' & 31, 'c' & 31 };
    uint32_t sum = 1;
    (void)end;
    for (int i = 0; i < 5; i++)
        sum = polymod(sum, prefix[i]);
    for (size_t i = 3; i < *n; i++) {
        const char *p = memchr(alphabet, s[i] >= 'A' ? s[i] | 32 : s[i], 32);
        if (!p)
            return PII_NO;
        sum = polymod(sum, (int)(p - alphabet));
    }
    return yes(sum == 1 || sum == 0x2bc830a3);
}

/* Does a number lie within an issuer's range, and is it as long as its cards are?  PII_YES, or CARD_RARE where cards of this length are rare and
 * numbers of other kinds are not. */
#define CARD_RARE 50
static int issued(const int *d, int n)
{
    static const struct { int digits, from, to, least, most; } range[] = {
        { 1, 4, 4, 13, 19 },            /* Visa */
        { 2, 51, 55, 16, 16 },          /* Mastercard */
        { 4, 2221, 2720, 16, 16 },
        { 2, 34, 34, 15, 15 },          /* American Express */
        { 2, 37, 37, 15, 15 },
        { 3, 300, 305, 14, 19 },        /* Diners */
        { 4, 3095, 3095, 14, 19 },
        { 2, 36, 36, 14, 19 },
        { 2, 38, 39, 14, 19 },
        { 4, 3528, 3589, 16, 19 },      /* JCB */
        { 4, 2131, 2131, 15, 15 },
        { 4, 1800, 1800, 15, 15 },
        { 2, 50, 50, 12, 19 },          /* Maestro, and with 6: Discover, UnionPay, RuPay */
        { 2, 56, 58, 12, 19 },
        { 1, 6, 6, 12, 19 },
        { 4, 2200, 2204, 16, 19 },      /* Mir */
    };
    for (size_t i = 0; i < sizeof range / sizeof *range; i++) {
        const int head = number(d, range[i].digits);
        if (head >= range[i].from && head <= range[i].to && n >= range[i].least && n <= range[i].most)
            return n == 12 || (n == 13 && d[0] != 4) ? CARD_RARE : PII_YES;
    }
    return PII_NO;
}

/* One group of digits less; false: there was one only. */
static bool cut_group(const char *s, size_t *n)
{
    size_t k = *n;
    while (k && digit(s[k - 1]))
        k--;
    while (k && !digit(s[k - 1]))
        k--;
    *n = k;
    return k > 0;
}

int pii_check_card(const char *s, size_t *n, const char *end)
{
    int d[DIGITS_MAX];
    (void)end;
    do {
        const int k = digits_of(s, *n, d), says = k >= 12 ? issued(d, k) : PII_NO;
        if (says != PII_NO && luhn(d, k) && !all_same(d, k))
            return says;
    } while (cut_group(s, n));
    return PII_NO;
}

/* ISO 13616: how long those of a country are. */
static int iban_length(char a, char b)
{
    static const char lengths[] =
        "AD24AE23AL28AT20AZ28BA20BE16BG22BH22BI27BR29BY28CH21CR22CY28CZ24DE22DJ27DK18DO28EE20EG29ES24FI18FK18FO18FR27GB22GE22GI23GL18GR27GT28HR21HU28"
        "IE22IL23IQ23IS26IT27JO30KW30KZ20LB28LC32LI21LT20LU20LV21LY25MC27MD24ME22MK19MN20MR27MT31MU30NI28NL18NO15OM23PK24PL28PS29PT25QA29RO24RS22RU33"
        "SA24SC31SD18SE24SI19SK24SM27SO23ST25SV28TL23TN24TR26UA29VA22VG24XK20YE30";
    for (const char *p = lengths; *p; p += 4)
        if (p[0] == a && p[1] == b)
            return 10 * (p[2] - '0') + p[3] - '0';
    return 0;
}

int pii_check_iban(const char *s, size_t *n, const char *end)
{
    const int want = iban_length(upper(s[0]), upper(s[1]));
    char c[40];
    int k = 0, rest = 0;
    size_t i = 0;
    for (; i < *n && k < want; i++)
        if (s[i] != ' ' && s[i] != '-')
            c[k++] = upper(s[i]);
    if (!want || k < want || (s + i < end && (digit(s[i]) || letter(s[i]))))
        return PII_NO;
    for (int j = 0; j < want; j++) {
        const char x = c[(j + 4) % want];
        rest = (digit(x) ? 10 * rest + x - '0' : 100 * rest + x - 'A' + 10) % 97;
    }
    *n = i;
    return yes(rest == 1);
}

/* ---- telephones ---- */

struct groups { int n, digits, len[12], head[12]; bool plus, paren, slash; char sep; };

static bool country_code(const char *s, size_t n)
{
    /* ITU-T E.164: codes of one digit, of two; all others have three, and begin with 2, 3, 4, 5, 6, 8 or 9. */
    static const char two[] = "20 27 30 31 32 33 34 36 39 40 41 43 44 45 46 47 48 49 51 52 53 54 55 56 57 58 60 61 62 63 64 65 66 81 82 84 86 90 91 92 93 94 95 98 ";
    if (n < 2 || s[0] == '0')
        return false;
    if (s[0] == '1' || s[0] == '7')
        return true;
    for (const char *p = two; *p; p += 3)
        if (p[0] == s[0] && p[1] == s[1])
            return true;
    return strchr("2345689", s[0]) && n > 2 && digit(s[2]);
}

/* Groups of digits; sep: what stands between them if it is always the same character, else 0. */
static void groups_of(const char *s, size_t n, struct groups *g)
{
    *g = (struct groups){ .sep = 1 };
    for (size_t i = 0; i < n;) {
        if (!digit(s[i])) {
            g->plus |= s[i] == '+';
            g->paren |= s[i] == '(';
            g->slash |= s[i] == '/';
            if (g->n)
                g->sep = g->sep == 1 || g->sep == s[i] ? s[i] : 0;
            i++;
            continue;
        }
        int value = 0, k = 0;
        for (; i < n && digit(s[i]); i++, k++)
            value = k < 4 ? 10 * value + s[i] - '0' : value;
        if (g->n < 12) {
            g->len[g->n] = k;
            g->head[g->n++] = value;
        }
        g->digits += k;
    }
}

/* Dates, years, addresses of the net, numbers with a point, card and social security numbers, postal codes, ISBN. */
static bool other_number(const struct groups *g)
{
    const int *l = g->len, *h = g->head;
    if (g->n == 3 && ((l[0] <= 2 && l[1] <= 2 && l[2] == 4) || (l[0] == 4 && l[1] <= 2 && l[2] <= 2 && h[0] >= 1500 && h[0] < 2200)))
        return true;
    if (g->n == 2 && l[0] == 4 && l[1] == 4 && h[0] >= 1500 && h[0] < 2200 && h[1] >= 1500 && h[1] < 2200)
        return true;
    if (g->n == 4 && g->sep == '.' && l[0] <= 3 && l[1] <= 3 && l[2] <= 3 && l[3] <= 3)
        return true;
    if (g->n == 2 && g->sep == '.')
        return true;
    if (g->n == 3 && l[0] == 3 && l[1] == 2 && l[2] == 4)
        return true;
    if (g->n >= 3 && l[0] == 4 && l[1] == 4 && l[2] == 4)
        return true;
    if (g->n == 2 && l[0] == 5 && l[1] == 4)
        return true;
    return g->digits == 13 && g->n > 1 && (h[0] == 978 || h[0] == 979);
}

/* North America: NXX-NXX-XXXX, from group i on. */
static int north_american(const struct groups *g, int i)
{
    if (g->n - i != 3 || g->len[i] != 3 || g->len[i + 1] != 3 || g->len[i + 2] != 4)
        return 0;
    return g->head[i] >= 200 && g->head[i + 1] >= 200 ? 55 : 35;
}

static bool short_groups(const struct groups *g)
{
    for (int i = 0; i < g->n; i++)
        if (g->len[i] < 2 || g->len[i] > 7)
            return false;
    return g->n >= 2 && g->n <= 5 && !g->slash;
}

/* How sure one is of a telephone by the way it is written: 45 and more is so without a word near it. */
static int phone_score(const char *s, size_t n, bool extension)
{
    struct groups g;
    groups_of(s, n, &g);
    const char *p = s;
    while (*p && !digit(*p))
        p++;
    if (g.digits < 7 || g.digits > 16)
        return 0;
    if (g.plus)
        return g.digits >= 8 && country_code(p, (size_t)(s + n - p)) ? 60 : 0;
    if (other_number(&g))
        return 0;
    const int na = north_american(&g, g.n == 4 && (g.head[0] == 1) ? 1 : 0);
    if (na)
        return na + (extension ? 5 : 0) + (g.paren ? 5 : 0);
    if (p[0] == '0' && p[1] == '0')
        return g.digits >= 11 && g.n > 1 ? 50 : 0;
    if (g.paren && *s == '(' && g.len[0] <= 5 && g.digits <= 11 && g.n >= 2)
        return 45;
    if (p[0] == '0' && g.digits >= 9 && g.digits <= 12)
        return g.n > 1 && short_groups(&g) ? 45 : 25;
    if (g.n == 1)
        return g.digits == 10 && g.head[0] >= 2000 ? 20 : 0;
    return g.digits <= 12 && short_groups(&g) && g.sep ? 22 : 0;
}

int pii_check_phone(const char *s, size_t *n, const char *end)
{
    size_t m = *n;
    (void)end;
    for (size_t i = 0; i < *n; i++)
        if ((s[i] | 32) == 'x' || (s[i] | 32) == 'e' || s[i] == '#') {
            m = i;
            break;
        }
    const bool extension = m < *n;
    const char *p = s;
    while (!digit(*p))
        p++;
    if (m > (size_t)(p - s) + 5 && !digit(p[1]) && !digit(p[3]) && !digit(p[5]))        /* "1 2 3 4": rows of a table */
        return PII_NO;
    while (m && !digit(s[m - 1]))
        m--;
    int score = phone_score(s, m, extension);
    if (score)
        return score;
    while (cut_group(s, &m))
        if ((score = phone_score(s, m, false)) > 0) {
            *n = m;
            return score;
        }
    return PII_NO;
}

/* ---- the United States and Canada ---- */

int pii_check_us_ssn(const char *s, size_t *n, const char *end)
{
    int d[DIGITS_MAX];
    (void)end;
    if (digits_of(s, *n, d) != 9 || all_same(d, 9))
        return PII_NO;
    const int area = number(d, 3), all = number(d, 9);
    if (area == 0 || area == 666 || area >= 900 || number(d + 3, 2) == 0 || number(d + 5, 4) == 0)
        return PII_NO;
    /* Printed in advertisements, and the example of every text book. */
    return all == 78051120 || all == 123456789 || (all >= 987654320 && all <= 987654329) ? PII_NO : PII_MAYBE;
}

int pii_check_us_itin(const char *s, size_t *n, const char *end)
{
    int d[DIGITS_MAX];
    (void)end;
    if (digits_of(s, *n, d) != 9 || d[0] != 9)
        return PII_NO;
    const int group = number(d + 3, 2);
    return yes((group >= 50 && group <= 65) || (group >= 70 && group <= 88) || (group >= 90 && group <= 92) || (group >= 94 && group <= 99));
}

int pii_check_us_aba(const char *s, size_t *n, const char *end)
{
    static const int weight[] = { 3, 7, 1, 3, 7, 1, 3, 7, 1 };
    int d[DIGITS_MAX];
    (void)end;
    if (digits_of(s, *n, d) != 9)
        return PII_NO;
    const int head = number(d, 2);
    const bool district = head <= 12 || (head >= 21 && head <= 32) || (head >= 61 && head <= 72) || head == 80;
    return yes(district && weighted(d, weight, 9) % 10 == 0 && !all_same(d, 9));
}

/* ISO 7812 with the prefix 80840, which adds 24 to the sum. */
int pii_check_us_npi(const char *s, size_t *n, const char *end)
{
    int d[DIGITS_MAX + 5] = { 8, 0, 8, 4, 0 };
    (void)end;
    return yes(digits_of(s, *n, d + 5) == 10 && (d[5] == 1 || d[5] == 2) && luhn(d, 15) && !all_same(d + 6, 9));
}

int pii_check_us_dea(const char *s, size_t *n, const char *end)
{
    int d[DIGITS_MAX];
    (void)end;
    if (digits_of(s + 2, *n - 2, d) != 7)
        return PII_NO;
    return yes((d[0] + d[2] + d[4] + 2 * (d[1] + d[3] + d[5])) % 10 == d[6] && !all_same(d, 7));
}

int pii_check_ca_sin(const char *s, size_t *n, const char *end)
{
    int d[DIGITS_MAX];
    (void)end;
    return yes(digits_of(s, *n, d) == 9 && d[0] != 0 && d[0] != 8 && luhn(d, 9) && !all_same(d, 9));
}

/* ---- the United Kingdom ---- */

int pii_check_uk_nhs(const char *s, size_t *n, const char *end)
{
    static const int weight[] = { 10, 9, 8, 7, 6, 5, 4, 3, 2, 1 };
    int d[DIGITS_MAX];
    (void)end;
    return yes(digits_of(s, *n, d) == 10 && weighted(d, weight, 10) % 11 == 0 && !all_same(d, 10));
}

int pii_check_uk_nino(const char *s, size_t *n, const char *end)
{
    static const char never[] = "BG GB NK KN NT TN ZZ ";
    (void)n, (void)end;
    for (const char *p = never; *p; p += 3)
        if (upper(s[0]) == p[0] && upper(s[1]) == p[1])
            return PII_NO;
    return PII_MAYBE;
}

/* ---- Europe ---- */

int pii_check_es_nif(const char *s, size_t *n, const char *end)
{
    int d[DIGITS_MAX + 1], k = 0;
    (void)end;
    if (s[0] >= 'X' && s[0] <= 'Z')
        d[k++] = s[0] - 'X';
    k += digits_of(s, *n, d + k);
    return yes(k <= 8 && "TRWAGMYFPDXBNJZSQVHLCKE"[number(d, k) % 23] == s[*n - 1]);
}

/* Values of letters and digits at odd places; at even ones they are those of their order. */
int pii_check_it_fiscal(const char *s, size_t *n, const char *end)
{
    static const int odd[26] = { 1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23 };
    int sum = 0;
    (void)end;
    if (*n != 16)
        return PII_NO;
    for (int i = 0; i < 15; i++) {
        const int v = digit(s[i]) ? s[i] - '0' : upper(s[i]) - 'A';
        sum += i % 2 ? v : odd[v];
    }
    return yes(sum % 26 == upper(s[15]) - 'A');
}

int pii_check_it_vat(const char *s, size_t *n, const char *end)
{
    int d[DIGITS_MAX];
    (void)end;
    return yes(digits_of(s, *n, d) == 11 && luhn(d, 11) && !all_same(d, 11));
}

int pii_check_pl_pesel(const char *s, size_t *n, const char *end)
{
    static const int weight[] = { 1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1 };
    int d[DIGITS_MAX];
    (void)end;
    /* The century is added to the month, 20 at a time. */
    return yes(digits_of(s, *n, d) == 11 && date(number(d + 2, 2) % 20, number(d + 4, 2)) && weighted(d, weight, 11) % 10 == 0);
}

int pii_check_fi_hetu(const char *s, size_t *n, const char *end)
{
    int d[DIGITS_MAX + 6];
    (void)end;
    if (*n != 11 || digits_of(s, 6, d) != 6 || digits_of(s + 7, 3, d + 6) != 3 || !date(number(d + 2, 2), number(d, 2)))
        return PII_NO;
    return yes("0123456789ABCDEFHJKLMNPRSTUVWXY"[number(d, 9) % 31] == s[10]);
}

int pii_check_se_person(const char *s, size_t *n, const char *end)
{
    int d[DIGITS_MAX];
    const int k = digits_of(s, *n, d);
    (void)end;
    if (k != 10 && (k != 12 || number(d, 2) < 18 || number(d, 2) > 20))
        return PII_NO;
    const int *p = d + k - 10, day = number(p + 4, 2);
    /* A coordination number has 60 added to the day. */
    return yes(date(number(p + 2, 2), day > 60 ? day - 60 : day) && luhn(p, 10));
}

int pii_check_se_org(const char *s, size_t *n, const char *end)
{
    int d[DIGITS_MAX];
    (void)end;
    return yes(digits_of(s, *n, d) == 10 && d[2] >= 2 && luhn(d, 10));
}

/* ISO/IEC 7064 mod 11,10; of the first ten digits one comes twice or thrice, but not three times in a row. */
int pii_check_de_tax(const char *s, size_t *n, const char *end)
{
    int d[DIGITS_MAX], count[10] = { 0 }, product = 10, repeated = 0, missing = 0;
    (void)end;
    if (digits_of(s, *n, d) != 11 || d[0] == 0)
        return PII_NO;
    for (int i = 0; i < 10; i++) {
        count[d[i]]++;
        const int sum = (d[i] + product) % 10;
        product = 2 * (sum ? sum : 10) % 11;
    }
    for (int i = 0; i < 10; i++) {
        repeated += count[i] > 1;
        missing += count[i] == 0;
        if (count[i] > 3)
            return PII_NO;
    }
    for (int i = 0; i < 8; i++)
        if (d[i] == d[i + 1] && d[i] == d[i + 2])
            return PII_NO;
    return yes(repeated == 1 && missing <= 2 && (11 - product) % 10 == d[10]);
}

/* ---- Asia, Australia, Africa ---- */

/* Verhoeff's: products in the dihedral group of order 10. */
static bool verhoeff(const int *x, int n)
{
    static const int shift[10] = { 1, 5, 7, 6, 2, 8, 3, 0, 9, 4 };
    int c = 0;
    for (int i = 0; i < n; i++) {
        int v = x[n - 1 - i];
        for (int k = 0; k < i % 8; k++)
            v = shift[v];
        const int a = c % 5, b = v % 5;
        c = c < 5 ? (v < 5 ? (a + b) % 5 : 5 + (a + b) % 5) : v < 5 ? 5 + (a + 5 - b) % 5 : (a + 5 - b) % 5;
    }
    return c == 0;
}

int pii_check_in_aadhaar(const char *s, size_t *n, const char *end)
{
    int d[DIGITS_MAX], same = 0;
    (void)end;
    if (digits_of(s, *n, d) != 12 || d[0] < 2 || !verhoeff(d, 12))
        return PII_NO;
    for (int i = 0; i < 6; i++)
        same += d[i] == d[11 - i];
    return yes(same < 6);
}

int pii_check_ng_nin(const char *s, size_t *n, const char *end)
{
    int d[DIGITS_MAX];
    (void)end;
    return yes(digits_of(s, *n, d) == 11 && verhoeff(d, 11) && !all_same(d, 11));
}

static int base36(char c) { return digit(c) ? c - '0' : upper(c) - 'A' + 10; }

int pii_check_in_gstin(const char *s, size_t *n, const char *end)
{
    int sum = 0;
    (void)end;
    if (*n != 15)
        return PII_NO;
    for (int i = 0; i < 14; i++) {
        const int v = base36(s[i]) * (1 + i % 2);
        sum += v / 36 + v % 36;
    }
    return yes((36 - sum % 36) % 36 == base36(s[14]));
}

int pii_check_au_abn(const char *s, size_t *n, const char *end)
{
    static const int weight[] = { 10, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19 };
    int d[DIGITS_MAX];
    (void)end;
    if (digits_of(s, *n, d) != 11 || d[0] == 0)
        return PII_NO;
    d[0]--;
    return yes(weighted(d, weight, 11) % 89 == 0);
}

int pii_check_au_acn(const char *s, size_t *n, const char *end)
{
    static const int weight[] = { 8, 7, 6, 5, 4, 3, 2, 1 };
    int d[DIGITS_MAX];
    (void)end;
    return yes(digits_of(s, *n, d) == 9 && (10 - weighted(d, weight, 8) % 10) % 10 == d[8] && !all_same(d, 9));
}

int pii_check_au_tfn(const char *s, size_t *n, const char *end)
{
    static const int weight[] = { 1, 4, 3, 7, 5, 8, 6, 9, 10 };
    int d[DIGITS_MAX];
    (void)end;
    return yes(digits_of(s, *n, d) == 9 && weighted(d, weight, 9) % 11 == 0 && !all_same(d, 9));
}

int pii_check_au_medicare(const char *s, size_t *n, const char *end)
{
    static const int weight[] = { 1, 3, 7, 9, 1, 3, 7, 9 };
    int d[DIGITS_MAX];
    (void)end;
    return yes(digits_of(s, *n, d) == 10 && d[0] >= 2 && d[0] <= 6 && weighted(d, weight, 8) % 10 == d[8]);
}

/* S and T are citizens', F, G and M foreigners'. */
int pii_check_sg_nric(const char *s, size_t *n, const char *end)
{
    static const int weight[] = { 2, 7, 6, 5, 4, 3, 2 };
    int d[DIGITS_MAX];
    const char kind = upper(s[0]), last = upper(s[*n - 1]);
    (void)end;
    if (digits_of(s, *n, d) != 7)
        return PII_NO;
    const int sum = weighted(d, weight, 7) + (kind == 'T' || kind == 'G' ? 4 : kind == 'M' ? 3 : 0);
    if (kind == 'S' || kind == 'T')
        return yes("JZIHGFEDCBA"[sum % 11] == last);
    return yes((kind == 'M' ? "XWUTRQPNJLK" : "XWUTRQPNMLK")[sum % 11] == last);
}

/* Numbers given since October 2020 have no check digit: one that does not fit proves nothing. */
int pii_check_kr_rrn(const char *s, size_t *n, const char *end)
{
    static const int weight[] = { 2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5 };
    int d[DIGITS_MAX];
    (void)end;
    if (digits_of(s, *n, d) != 13 || !date(number(d + 2, 2), number(d + 4, 2)) || d[6] < 1 || d[6] > 8)
        return PII_NO;
    const int sum = weighted(d, weight, 12) % 11, foreigner = d[6] >= 5 ? 2 : 0;
    return (11 - sum + foreigner) % 10 == d[12] ? PII_YES : PII_MAYBE;
}

int pii_check_za_id(const char *s, size_t *n, const char *end)
{
    int d[DIGITS_MAX];
    (void)end;
    return yes(digits_of(s, *n, d) == 13 && date(number(d + 2, 2), number(d + 4, 2)) && d[10] <= 2 && d[11] >= 8 && luhn(d, 13));
}

int pii_check_th_tnin(const char *s, size_t *n, const char *end)
{
    static const int weight[] = { 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2 };
    int d[DIGITS_MAX];
    (void)end;
    return yes(digits_of(s, *n, d) == 13 && d[0] >= 1 && d[0] <= 8 && (11 - weighted(d, weight, 12) % 11) % 10 == d[12] && !all_same(d, 13));
}

int pii_check_tr_id(const char *s, size_t *n, const char *end)
{
    int d[DIGITS_MAX], sum = 0;
    (void)end;
    if (digits_of(s, *n, d) != 11 || d[0] == 0)
        return PII_NO;
    const int odd = d[0] + d[2] + d[4] + d[6] + d[8], even = d[1] + d[3] + d[5] + d[7];
    for (int i = 0; i < 10; i++)
        sum += d[i];
    return yes((7 * odd - even + 100) % 10 == d[9] && sum % 10 == d[10]);
}
