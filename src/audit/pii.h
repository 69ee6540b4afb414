/* pii.h - personal data that can be told by their form: addresses of mail and net, cards, accounts, telephones, numbers of persons (pii.def).
 *
 * A match has the score of its row: of the form alone, or, where there is a checksum and it holds, of that; one that does not hold drops it.
 * A word of the row's within PII_BEFORE bytes in front of it or PII_BEHIND bytes behind it, whole or with an s, in small letters or large,
 * raises it by PII_RAISE, to PII_LEAST at least.  Of matches that overlap the best one counts (spot.h).  Names and places of people are
 * not looked for.  Entities and contexts are named as Presidio names them; the differences from it are in doc/data.md. */
#ifndef AUDIT_PII_H
#define AUDIT_PII_H
#include "audit/spot.h"
#include "base/hash.h"

#define PII_BEFORE 96
#define PII_BEHIND 32
#define PII_RAISE 35
#define PII_LEAST 40
#define PII_SCORE_MIN 40            /* the usual least score of what is reported */

/* Name, and whether letters and digits alone tell one value from another (else all, in small letters). */
#define PII_ENTITIES(X)                                                                                                                       \
    X(EMAIL_ADDRESS, 0) X(URL, 0) X(IP_ADDRESS, 0) X(MAC_ADDRESS, 1) X(CRYPTO, 0) X(CREDIT_CARD, 1) X(IBAN_CODE, 1) X(PHONE_NUMBER, 1)        \
    X(US_SSN, 1) X(US_ITIN, 1) X(ABA_ROUTING_NUMBER, 1) X(US_NPI, 1) X(MEDICAL_LICENSE, 1) X(US_BANK_NUMBER, 1) X(US_PASSPORT, 1)             \
    X(US_DRIVER_LICENSE, 1) X(CA_SIN, 1) X(UK_NHS, 1) X(UK_NINO, 1) X(ES_NIF, 1) X(ES_NIE, 1) X(IT_FISCAL_CODE, 1) X(IT_VAT_CODE, 1)          \
    X(PL_PESEL, 1) X(FI_PERSONAL_IDENTITY_CODE, 1) X(SE_PERSONNUMMER, 1) X(SE_ORGANISATIONSNUMMER, 1) X(DE_TAX_ID, 1) X(IN_AADHAAR, 1)        \
    X(IN_PAN, 1) X(IN_GSTIN, 1) X(AU_ABN, 1) X(AU_ACN, 1) X(AU_TFN, 1) X(AU_MEDICARE, 1) X(SG_NRIC_FIN, 1) X(KR_RRN, 1) X(ZA_ID_NUMBER, 1)    \
    X(TH_TNIN, 1) X(TR_NATIONAL_ID, 1) X(NG_NIN, 1)
enum pii_entity {
#define X(name, plain) PII_##name,
    PII_ENTITIES(X)
#undef X
    N_PII
};
const char *pii_name(int entity);           /* "EMAIL_ADDRESS" */
int pii_find_name(const char *name);        /* N_PII: none */

/* Of all rows: what others find may be something else. */
int pii_digest(char hex[SHA256_HEX], struct err *err);

struct pii;                                 /* made once, read by all threads */
struct pii_state;                           /* a thread's */
int pii_new(struct pii **out, struct err *err);
void pii_free(struct pii *p);
int pii_state_new(struct pii_state **out, const struct pii *p, struct err *err);
void pii_state_free(struct pii_state *s);
/* Spots of a text with at least this score; kind: the entity.  Borrowed until the state's next call. */
int pii_spots(const struct pii *p, struct pii_state *s, const char *text, size_t n, int score_min, const struct spot **spot, size_t *n_spot, struct err *err);
uint64_t pii_given_up(const struct pii_state *s);          /* patterns_given_up() */

#endif
