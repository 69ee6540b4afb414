/* pii_check.h - does a string that has the shape of a number have its checksum?  Each from the definition of its format.
 *
 * Of a match: s, *n bytes of it; may make *n smaller, where a shorter one holds.  The string goes on to `end`, the end of the text. */
#ifndef AUDIT_PII_CHECK_H
#define AUDIT_PII_CHECK_H
#include <stddef.h>

/* No; cannot tell; yes; or, above PII_YES, the score itself. */
enum { PII_NO = -1, PII_MAYBE = 0, PII_YES = 1 };
typedef int pii_check(const char *s, size_t *n, const char *end);

#define PII_CHECKS(X)                                                                                                                            \
    X(none) X(email) X(url) X(ipv4) X(ipv6) X(mac) X(base58) X(bech32) X(card) X(iban) X(phone) X(us_ssn) X(us_itin) X(us_aba) X(us_npi) X(us_dea) \
    X(ca_sin) X(uk_nhs) X(uk_nino) X(es_nif) X(it_fiscal) X(it_vat) X(pl_pesel) X(fi_hetu) X(se_person) X(se_org) X(de_tax) X(in_aadhaar) X(in_gstin) \
    X(au_abn) X(au_acn) X(au_tfn) X(au_medicare) X(sg_nric) X(kr_rrn) X(za_id) X(th_tnin) X(tr_id) X(ng_nin)
#define X(name) int pii_check_##name(const char *s, size_t *n, const char *end);
PII_CHECKS(X)
#undef X

#endif
