/* test_checkpoint.c - signed ends of a journal: made, read, and what they find, on SQLite and on PostgreSQL. */
#include "../registries.h"
#include "base/mem.h"
#include "store/registry_verify.h"

static struct err err;

static void add(const char *text)
{
    struct registry_version v;
    put_in_dir("new/weights", text);
    OK(registry_add(g, &(struct registry_addition){ .name = "m", .kind = "model", .path = in_dir("new") }, &by, &v, &err));
}

/* The vectors of RFC 6962's reference implementation (google/certificate-transparency, merkle_tree_test). */
static void the_tree_is_rfc_6962s(void **state)
{
    (void)state;
    static const struct { const char *leaf; size_t n; } leaf[] = { { "", 0 }, { "\x00", 1 }, { "\x10", 1 }, { "\x20\x21", 2 }, { "\x30\x31", 2 }, { "\x40\x41\x42\x43", 4 },
        { "\x50\x51\x52\x53\x54\x55\x56\x57", 8 }, { "\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f", 16 } };
    static const char *const root[] = { "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d", "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77", "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4", "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c", "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328" };
    struct merkle m = { .n = 0 };
    for (int i = 0; i < 8; i++) {
        unsigned char sum[SHA256_BYTES];
        char hex[SHA256_HEX];
        OK(merkle_add(&m, leaf[i].leaf, leaf[i].n, &err));
        merkle_root(&m, sum);
        for (int k = 0; k < SHA256_BYTES; k++)
            snprintf(hex + 2 * k, 3, "%02x", sum[k]);
        assert_string_equal(hex, root[i]);
    }
}

struct keys { struct evp_pkey_st *private_key, *public_key; };
static struct keys keys_of(const char *prefix, const char *curve)
{
    struct keys k;
    char path[300];
    OK(pki_make(in_dir(prefix), curve, NULL, &err));
    snprintf(path, sizeof path, "%s.key", in_dir(prefix));
    OK(pki_private_read(&k.private_key, path, NULL, &err));
    snprintf(path, sizeof path, "%s.pub", in_dir(prefix));
    OK(pki_public_read(&k.public_key, path, &err));
    return k;
}

static void free_keys(struct keys k) { pki_free(k.private_key), pki_free(k.public_key); }

static bool holds(const struct checkpoint *c)
{
    json_t *o;
    OK(registry_verify(g, &(struct registry_verify_opts){ .no_blobs = true, .checkpoint = c }, &o, &err));
    const bool valid = json_is_true(json_object_get(o, "valid"));
    json_decref(o);
    return valid;
}

static void a_journal_that_goes_on_holds_and_one_made_anew_does_not(void **state)
{
    (void)state;
    registry_here();
    const struct keys k = keys_of("k", "P-256");
    struct checkpoint c, read;
    struct buf note;
    buf_init(&note);
    assert_int_equal(checkpoint_make(g, k.private_key, NULL, &note, &c, &err), ERR_USAGE);
    add("one"), add("two"), add("three");
    OK(checkpoint_make(g, k.private_key, NULL, &note, &c, &err));
    assert_true(c.seq == 3);
    OK(checkpoint_verify(note.data, note.len, k.public_key, &err));
    OK(checkpoint_parse(&read, note.data, note.len, &err));
    assert_memory_equal(&read, &c, sizeof c);
    assert_true(holds(&read));
    add("four");
    assert_true(holds(&read));
    struct checkpoint next;
    OK(checkpoint_make(g, k.private_key, &read, &note, &next, &err));
    assert_true(next.seq == 4);
    OK(db_script(registry_db(g), "DELETE FROM version WHERE seq = 4; DELETE FROM journal WHERE seq = 4", &err));
    assert_int_equal(checkpoint_make(g, k.private_key, &next, &note, &c, &err), ERR_CORRUPT);
    assert_non_null(strstr(err.msg, "it was cut"));
    OK(checkpoint_make(g, k.private_key, &read, &note, &c, &err));          /* which was of before */
    read.root[5] ^= 1;
    assert_false(holds(&read));
    read.root[5] ^= 1, read.seq = 9;
    assert_false(holds(&read));
    read.seq = 3;
    /* all again, by one who can write everywhere: valid in itself, and found */
    OK(db_script(registry_db(g), "DELETE FROM dropped; DELETE FROM alias; DELETE FROM version; DELETE FROM model; DELETE FROM journal", &err));
    for (int i = 0; i < 4; i++)
        add((char[]){ (char)('a' + i), 0 });
    assert_true(holds(NULL));
    assert_false(holds(&read));
    assert_int_equal(checkpoint_make(g, k.private_key, &read, &note, &c, &err), ERR_CORRUPT);
    assert_non_null(strstr(err.msg, "made anew"));
    buf_release(&note);
    free_keys(k);
}

static void a_checkpoint_that_was_changed_or_is_anothers_is_refused(void **state)
{
    (void)state;
    registry_here();
    const struct keys k = keys_of("k", "P-256"), other = keys_of("other", "P-256"), large = keys_of("large", "P-384");
    struct checkpoint c;
    struct buf note;
    buf_init(&note);
    add("one");
    assert_int_equal(checkpoint_make(g, large.private_key, NULL, &note, &c, &err), ERR_USAGE);
    buf_clear(&note);
    OK(checkpoint_make(g, k.private_key, NULL, &note, &c, &err));
    assert_int_equal(checkpoint_verify(note.data, note.len, other.public_key, &err), ERR_GATE);
    for (size_t i = 0; i + 1 < note.len; i++) {                  /* the last byte ends the line */
        note.data[i] ^= 1;
        assert_true(checkpoint_verify(note.data, note.len, k.public_key, &err) < 0);
        note.data[i] ^= 1;
    }
    for (size_t n = 0; n < note.len; n++)
        assert_true(checkpoint_verify(note.data, n, k.public_key, &err) < 0);
    OK(buf_add_str(&note, "\xe2\x80\x94 witness.example AAAAAAAA\n", &err));       /* others may sign it too */
    OK(checkpoint_verify(note.data, note.len, k.public_key, &err));
    OK(db_run(registry_db(g), "UPDATE journal SET record = replace(record, 'tester', 'someone')", NULL, 0, NULL, &err));
    assert_int_equal(checkpoint_make(g, k.private_key, NULL, &note, &c, &err), ERR_CORRUPT);
    buf_release(&note);
    free_keys(k), free_keys(other), free_keys(large);
}

#define R(name) cmocka_unit_test_setup_teardown(name, registry_begin, registry_end)
static const struct CMUnitTest checkpoints[] = {
    R(the_tree_is_rfc_6962s),
    R(a_journal_that_goes_on_holds_and_one_made_anew_does_not),
    R(a_checkpoint_that_was_changed_or_is_anothers_is_refused),
};

int main(void) { return ON_BOTH_DATABASES(checkpoints); }
