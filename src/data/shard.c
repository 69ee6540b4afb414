#include "data/shard.h"
#include <string.h>
#include "base/mem.h"

#define HEADER 128
static const char magic[8] = { 'L', 'A', 'T', 'H', 'E', 'T', 'O', 'K' };

struct header { char magic[8]; uint32_t version, id_bytes; uint64_t n, n_text; uint32_t eot, zero[7]; char tokenizer[64]; };
_Static_assert(sizeof(struct header) == HEADER, "the header's size on disk");

static int write_ids(struct file_writer *w, const struct tok_ids *ids, int id_bytes, struct err *err)
{
    if (id_bytes == 4)
        return file_writer_add(w, ids->id, ids->n * 4, err);
    uint16_t block[4096];
    for (size_t i = 0; i < ids->n;) {
        size_t n = 0;
        for (; n < sizeof block / sizeof *block && i < ids->n; n++, i++)
            block[n] = (uint16_t)ids->id[i];
        TRY(file_writer_add(w, block, n * sizeof *block, err));
    }
    return 0;
}

static int encode(const struct text_list *text, uint64_t skip, uint64_t n_bytes, const struct tok *tok, struct tok_ids *ids, struct err *err)
{
    uint64_t at = 0;
    const int eot = tok_eot(tok);
    for (int i = 0; i <= text->n_doc; i++) {
        const bool end = i == text->n_doc;
        const struct text_doc *d = end ? NULL : &text->doc[i];
        const uint64_t from = end ? 0 : skip > at ? skip - at : 0, to = end ? 0 : skip + n_bytes - at < d->n ? skip + n_bytes - at : d->n;
        if (!end && (at >= skip + n_bytes || from >= d->n)) {
            at += d->n;
            continue;
        }
        if (eot >= 0 && (!end || ids->n)) {
            size_t len;
            const char *bytes = tok_bytes(tok, eot, &len);
            TRY(tok_encode(tok, bytes, len, TOK_SPECIALS, ids, err));
        }
        if (end)
            break;
        if (tok_encode(tok, d->map.data + from, (size_t)(to - from), TOK_PLAIN, ids, err) < 0)
            return err_context(err, "%s", d->path);
        at += d->n;
    }
    return 0;
}

int shard_write(const char *path, const struct text_list *text, uint64_t skip, uint64_t n_bytes, const struct tok *tok,
                const char tokenizer[SHA256_HEX], struct err *err)
{
    struct tok_ids ids = { 0 };
    struct file_writer w;
    int rc = encode(text, skip, n_bytes, tok, &ids, err);
    if (!rc && !(rc = file_writer_open(&w, path, err))) {
        struct header h = { .version = 1, .id_bytes = tok_vocab_size(tok) <= 65536 ? 2 : 4, .n = ids.n, .n_text = n_bytes, .eot = (uint32_t)tok_eot(tok) };
        memcpy(h.magic, magic, sizeof magic);
        memcpy(h.tokenizer, tokenizer, sizeof h.tokenizer);
        rc = file_writer_add(&w, &h, sizeof h, err);
        if (!rc)
            rc = write_ids(&w, &ids, (int)h.id_bytes, err);
        if (rc)
            file_writer_abort(&w);
        else
            rc = file_writer_commit(&w, err);
    }
    tok_ids_release(&ids);
    return rc;
}

int shard_open(struct shard *s, const char *path, struct err *err)
{
    *s = (struct shard){ 0 };
    TRY(file_map_open(&s->map, path, err));
    struct header h;
    int rc = 0;
    if (s->map.size < HEADER || memcmp(s->map.data, magic, sizeof magic)) {
        rc = ERR(err, FORMAT, "%s is not a token file", path);
    } else {
        memcpy(&h, s->map.data, sizeof h);
        if (h.version != 1 || (h.id_bytes != 2 && h.id_bytes != 4))
            rc = ERR(err, UNSUPPORTED, "%s: version %u with %u-byte ids, expected version 1 with 2 or 4", path, h.version, h.id_bytes);
        else if (h.n > (s->map.size - HEADER) / h.id_bytes || h.n * h.id_bytes != s->map.size - HEADER)
            rc = ERR(err, CORRUPT, "%s: %zu bytes, expected %u + %llu ids of %u bytes", path, s->map.size, HEADER, (unsigned long long)h.n, h.id_bytes);
    }
    if (rc) {
        shard_close(s);
        return rc;
    }
    s->ids = s->map.data + HEADER;
    s->id_bytes = (int)h.id_bytes, s->n = (int64_t)h.n, s->n_text = (int64_t)h.n_text, s->eot = (int32_t)h.eot;
    memcpy(s->tokenizer, h.tokenizer, sizeof h.tokenizer);
    return 0;
}

void shard_close(struct shard *s)
{
    file_map_close(&s->map);
    *s = (struct shard){ 0 };
}
