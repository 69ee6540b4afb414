#include "serve/page.h"
#include <assert.h>
#include <stdio.h>
#include <string.h>
#include "base/base64.h"
#include "base/hash.h"

/* The parts, one after the other, and a NUL behind them.  A view has a line in each of the three lists. */
#define PART(file) ".incbin \"src/serve/page/" file "\"\n"
__asm__(".pushsection .rodata\n"
        "page_html:\n"
        PART("head.html")
        PART("page.css")
        PART("releases.css")
        PART("traffic.css")
        PART("drift.css")
        PART("lineage.css")
        PART("build.css")
        PART("plan.css")
        ".ascii \"</style>\\n\"\n"
        PART("frame.html")
        PART("releases.html")
        PART("build.html")
        PART("plan.html")
        PART("tail.html")
        PART("page.js")
        PART("chat.js")
        PART("live.js")
        PART("releases.js")
        PART("traffic.js")
        PART("drift.js")
        PART("lineage.js")
        PART("build.js")
        PART("plan.js")
        PART("plan_costs.js")
        ".ascii \"</script>\\n</body>\\n</html>\\n\"\n"
        "page_html_end: .byte 0\n"
        ".popsection\n");
extern const char page_html[] __attribute__((visibility("hidden"))), page_html_end[] __attribute__((visibility("hidden")));

static size_t page_size(void) { return (size_t)(page_html_end - page_html); }

/* Appends the SHA-256 of what is between two tags of the page, in base64, as policies name it. */
static int hash_between(const char *open, const char *close, struct buf *out, struct err *err)
{
    const char *from = strstr(page_html, open), *to = from ? strstr(from, close) : NULL;
    unsigned char sum[SHA256_BYTES];
    assert(to);
    from += strlen(open);
    sha256_bytes(from, (size_t)(to - from), sum);
    return base64_write(out, sum, sizeof sum, err);
}

static int write_policy(struct buf *b, struct err *err)
{
    TRY(buf_add_str(b, "default-src 'none'; script-src 'sha256-", err));
    TRY(hash_between("<script>", "</script>", b, err));
    TRY(buf_add_str(b, "'; style-src 'sha256-", err));
    TRY(hash_between("<style>", "</style>", b, err));
    return buf_add_str(b, "'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
                          "require-trusted-types-for 'script'; trusted-types 'none'", err);
}

int page_init(struct page *p, struct err *err)
{
    struct buf b;
    char hex[SHA256_HEX];
    buf_init(&b);
    int rc = write_policy(&b, err);
    if (!rc) {
        assert(b.len < sizeof p->policy);
        memcpy(p->policy, b.data, b.len + 1);
        rc = sha256_of(page_html, page_size(), hex, err);
    }
    buf_release(&b);
    if (!rc)
        snprintf(p->etag, sizeof p->etag, "\"%.16s\"", hex);
    return rc;
}

void page_reply(const struct page *p, struct http_request *q)
{
    const char *known = http_header(q, "If-None-Match");
    const bool same = known && strstr(known, p->etag);
    http_add_header(q, "Content-Security-Policy", p->policy);
    http_add_header(q, "X-Content-Type-Options", "nosniff");
    http_add_header(q, "Referrer-Policy", "no-referrer");
    http_add_header(q, "Cache-Control", "no-cache");         /* asked for each time, sent when it is another */
    http_add_header(q, "ETag", p->etag);
    http_reply(q, same ? 304 : 200, "text/html; charset=utf-8", page_html, same ? 0 : page_size());
}
