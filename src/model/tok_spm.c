/* tok_spm.c - SentencePiece's model file: protobuf, read field by field.
 *
 *   ModelProto:     1 pieces (message): 1 piece (string), 2 score (float), 3 type (enum, default 1)
 *                   2 trainer_spec: 3 model_type (1 unigram, 2 bpe, 3 word, 4 char), 24 treat_whitespace_as_suffix, 35 byte_fallback,
 *                     40 unk_id, 41 bos_id, 42 eos_id, 43 pad_id
 *                   3 normalizer_spec: 2 precompiled_charsmap (bytes), 3 add_dummy_prefix, 4 remove_extra_whitespaces,
 *                     5 escape_whitespaces (the three default to true)
 * A field is a varint (number << 3 | wire type), then a varint, 8 bytes, a varint length and bytes, or 4 bytes. */
#include <string.h>
#include "base/mem.h"
#include "model/tok_files.h"
#include "model/tok_impl.h"

struct field { int number, wire; uint64_t value; const char *data; size_t n; };
struct proto { const char *at, *end, *name; struct err *err; };

static bool varint(struct proto *p, uint64_t *out)
{
    *out = 0;
    for (int shift = 0; shift < 64 && p->at < p->end; shift += 7) {
        const unsigned char c = (unsigned char)*p->at++;
        *out |= (uint64_t)(c & 0x7f) << shift;
        if (c < 0x80)
            return true;
    }
    return false;
}

static bool bytes(struct proto *p, uint64_t n, struct field *f)
{
    if (n > (uint64_t)(p->end - p->at))
        return false;
    f->data = p->at, f->n = (size_t)n, p->at += n;
    return true;
}

/* The next field: 1; 0 at the end. */
static int next(struct proto *p, struct field *f)
{
    uint64_t tag, n;
    if (p->at == p->end)
        return 0;
    *f = (struct field){ 0 };
    bool ok = varint(p, &tag) && tag >> 3 && tag >> 3 < 1 << 29;
    f->number = (int)(tag >> 3), f->wire = (int)(tag & 7);
    if (ok && f->wire == 0)
        ok = varint(p, &f->value);
    else if (ok && f->wire == 1)
        ok = bytes(p, 8, f);
    else if (ok && f->wire == 2)
        ok = varint(p, &n) && bytes(p, n, f);
    else if (ok)
        ok = f->wire == 5 && bytes(p, 4, f);
    return ok ? 1 : ERR(p->err, FORMAT, "%s: not a SentencePiece model: its protobuf breaks off or is not one", p->name);
}

static int wrong(const struct proto *p, const char *what) { return ERR(p->err, FORMAT, "%s: %s has the wrong wire type", p->name, what); }

static int read_piece(const struct proto *in, const struct field *m, struct tok_piece *piece)
{
    struct proto p = { m->data, m->data + m->n, in->name, in->err };
    struct field f;
    int rc;
    *piece = (struct tok_piece){ .text = "", .type = TOK_PIECE_NORMAL };
    while ((rc = next(&p, &f)) > 0) {
        if (f.number == 1 && f.wire == 2)
            piece->text = f.data, piece->n = f.n;
        else if (f.number == 2 && f.wire == 5)
            memcpy(&piece->score, f.data, 4);
        else if (f.number == 3 && f.wire == 0)
            piece->type = (uint8_t)(f.value >= 1 && f.value <= 6 ? f.value : 0);
        else if (f.number <= 3)
            return wrong(&p, "a piece");
    }
    if (!rc && !piece->type)
        return ERR(p.err, FORMAT, "%s: a piece has a type that is not 1 to 6", p.name);
    return rc;
}

static int read_trainer(const struct proto *in, const struct field *m, struct tok_vocab *v, int *type)
{
    struct proto p = { m->data, m->data + m->n, in->name, in->err };
    struct field f;
    int rc;
    while ((rc = next(&p, &f)) > 0) {
        int *id = f.number == 40 ? &v->unk : f.number == 41 ? &v->bos : f.number == 42 ? &v->eos : NULL;
        if ((id || f.number == 3 || f.number == 24 || f.number == 35) && f.wire)
            return wrong(&p, "trainer_spec");
        if (id)
            *id = (int32_t)f.value < 0 ? -1 : (int32_t)f.value;
        else if (f.number == 3)
            *type = f.value <= 4 ? (int)f.value : 0;
        else if (f.number == 24)
            v->suffix = f.value;
        else if (f.number == 35)
            v->byte_fallback = f.value;
    }
    return rc;
}

static int read_normalizer(const struct proto *in, const struct field *m, struct tok_vocab *v)
{
    struct proto p = { m->data, m->data + m->n, in->name, in->err };
    struct field f;
    int rc;
    while ((rc = next(&p, &f)) > 0) {
        if ((f.number == 2 && f.wire != 2) || (f.number >= 3 && f.number <= 5 && f.wire))
            return wrong(&p, "normalizer_spec");
        if (f.number == 2)
            v->charsmap = f.data, v->n_charsmap = f.n;
        else if (f.number == 3)
            v->add_prefix = f.value;
        else if (f.number == 4)
            v->join_spaces = f.value;
        else if (f.number == 5)
            v->escape = f.value;
    }
    return rc;
}

static int read_model(struct proto *p, struct tok_vocab *v, int *type, struct tok_piece **list)
{
    struct field f;
    int rc, cap = 0;
    while ((rc = next(p, &f)) > 0) {
        if (f.number <= 3 && f.wire != 2)
            return wrong(p, "the model");
        if (f.number == 2)
            TRY(read_trainer(p, &f, v, type));
        if (f.number == 3)
            TRY(read_normalizer(p, &f, v));
        if (f.number != 1)
            continue;
        if (v->n_piece == TOK_VOCAB_MAX)
            return ERR(p->err, RANGE, "%s: more than %d pieces", p->name, TOK_VOCAB_MAX);
        if (v->n_piece == cap) {
            cap = cap ? 2 * cap : 1024;
            struct tok_piece *more = mem_realloc_array(*list, (size_t)cap, sizeof *more);
            if (!more)
                return ERR(p->err, NOMEM, "%s: no memory for %d pieces", p->name, cap);
            *list = more;
        }
        TRY(read_piece(p, &f, &(*list)[v->n_piece++]));
    }
    return rc;
}

int tok_parse_spm(struct tok **out, const char *data, size_t n, const char *name, struct err *err)
{
    struct tok_vocab v = { .name = name, .bos = 1, .eos = 2, .unk = 0, .sep = -1, .cls = -1, .add_prefix = true, .join_spaces = true, .escape = true };
    struct proto p = { data, data + n, name, err };
    struct tok_piece *pieces = NULL;
    int type = 1;                                        /* unigram is the default */
    *out = NULL;
    int rc = read_model(&p, &v, &type, &pieces);
    v.piece = pieces;
    if (!rc && !v.n_piece)
        rc = ERR(err, FORMAT, "%s: the vocabulary is empty", name);
    if (!rc && type != 1 && type != 2)
        rc = ERR(err, UNSUPPORTED, "%s: SentencePiece model type %d, expected 1 (unigram) or 2 (bpe)", name, type);
    v.kind = type == 2 ? TOK_VOCAB_SPM : TOK_VOCAB_UNIGRAM;
    if (v.bos >= v.n_piece)
        v.bos = -1;
    if (v.eos >= v.n_piece)
        v.eos = -1;
    v.add_bos = v.bos >= 0, v.add_eos = v.bos < 0;       /* Llama and Mistral begin with bos; T5, which has none, ends with eos */
    if (!rc)
        rc = tok_from_vocab(out, &v, err);
    mem_free(pieces);
    return rc;
}
