/* emu942_decode.h - an instruction, from the text that LLVM's disassembler gives and from its words.  Part of emu942.c. */

static bool amd_register(struct amd_operand *o, const char *t)
{
    static const struct { const char *name; int reg, n; } named[] = { { "vcc_lo", AMD_VCC, 1 }, { "vcc_hi", AMD_VCC + 1, 1 }, { "vcc", AMD_VCC, 2 }, { "exec_lo", AMD_EXEC, 1 },
                                                                      { "exec_hi", AMD_EXEC + 1, 1 }, { "exec", AMD_EXEC, 2 }, { "m0", AMD_M0, 1 } };
    for (size_t i = 0; i < sizeof named / sizeof *named; i++)
        if (!strncmp(t, named[i].name, strlen(named[i].name))) {
            o->kind = 's', o->reg = named[i].reg, o->n = named[i].n;
            return true;
        }
    if (!strchr("vsa", *t) || !(t[1] == '[' || (t[1] >= '0' && t[1] <= '9')))
        return false;
    int last;
    o->kind = *t == 's' ? 's' : 'v';
    if (sscanf(t + 1, "[%d:%d]", &o->reg, &last) == 2)
        o->n = last - o->reg + 1;
    else
        o->reg = atoi(t + 1);
    o->reg += *t == 'a' ? 256 : 0;
    return true;
}

/* A constant of a 64-bit float is written as it is, or as its upper half. */
static void amd_constant(struct amd_operand *o, const char *t, bool real64)
{
    const double f = strtod(t, NULL);
    o->kind = 'c';
    if (strchr(t, '.') && strncmp(t, "0x", 2) != 0) {
        o->value = amd_u32((float)f);
        o->value64 = real64 ? amd_u64(f) : o->value;
    } else {
        o->value = (uint32_t)strtoll(t, NULL, 0);
        o->value64 = real64 && !strncmp(t, "0x", 2) ? (uint64_t)o->value << 32 : (uint64_t)(int64_t)(int32_t)o->value;
    }
}

static bool amd_operand(struct amd_operand *o, const char *t, bool real64)
{
    *o = (struct amd_operand){ .n = 1 };
    if (*t == '-' && strchr("vsa|em", t[1]))
        o->neg = true, t++;
    if (*t == '|')
        o->abs = true, t++;
    if (!strncmp(t, "sext(", 5))
        o->sext = true, t += 5;
    if (!strcmp(t, "off"))
        return o->kind = 'o', true;
    if (amd_register(o, t))
        return true;
    if (*t == '-' || (*t >= '0' && *t <= '9'))
        return amd_constant(o, t, real64), true;
    return false;
}

static int amd_field_of(const char *text, const char *name)
{
    const char *p = strstr(text, name);
    return p ? (int)strtol(p + strlen(name), NULL, 0) : 0;
}
static int amd_bits(const char *text, const char *name, int otherwise)
{
    const char *p = strstr(text, name);
    int a = 0, b = 0, c = 0, d = 0;
    return p ? (sscanf(p + strlen(name), "%d,%d,%d,%d", &a, &b, &c, &d), a | b << 1 | c << 2 | d << 3) : otherwise;
}
static int amd_select(const char *text, const char *name)
{
    static const char *const names[] = { "BYTE_0", "BYTE_1", "BYTE_2", "BYTE_3", "WORD_0", "WORD_1", "DWORD" };
    const char *p = strstr(text, name);
    for (int i = 0; p && i < 7; i++)
        if (!strncmp(p + strlen(name), names[i], strlen(names[i])))
            return i;
    return 6;
}

/* Lane from which lane l reads, or -1. */
static int amd_dpp_lane(const char *text, int l)
{
    static const struct { const char *name; int by, way; } shifts[] = { { "row_shl:", 1, 0 }, { "row_shr:", -1, 0 }, { "row_ror:", -1, 1 }, { "wave_shl:", 1, 2 }, { "wave_shr:", -1, 2 }, { "wave_rol:", 1, 3 }, { "wave_ror:", -1, 3 } };
    const char *p = strstr(text, "quad_perm:[");
    int q[4];
    if (p && sscanf(p + 11, "%d,%d,%d,%d", &q[0], &q[1], &q[2], &q[3]) == 4)
        return (l & ~3) | (q[l & 3] & 3);
    for (size_t i = 0; i < sizeof shifts / sizeof *shifts; i++)
        if ((p = strstr(text, shifts[i].name))) {
            const int from = l + shifts[i].by * atoi(p + strlen(shifts[i].name));
            switch (shifts[i].way) {
            case 0: return from >> 4 == l >> 4 ? from : -1;
            case 1: return (l & 48) | (from & 15);
            case 2: return from >= 0 && from < 64 ? from : -1;
            default: return from & 63;
            }
        }
    if (strstr(text, "row_mirror"))
        return l ^ 15;
    if (strstr(text, "row_half_mirror"))
        return l ^ 7;
    if ((p = strstr(text, "row_newbcast:")))
        return (l & 48) | atoi(p + 13);
    if (strstr(text, "row_bcast:15"))
        return l < 16 ? -1 : (l & 48) - 1;
    return strstr(text, "row_bcast:31") ? (l < 32 ? -1 : 31) : l;
}

static const struct amd_row { const char *name; enum amd_kind kind; int n_source, bytes, places, unit; char what; } amd_rows[] = {
#define X(name, n, e) { #name, AMD_IS_LANE, n, 0, 0, 0, 0 },
    AMD_LANES(X)
#undef X
#define X(name, n, e) { #name, AMD_IS_WIDE, n, 0, 0, 0, 0 },
    AMD_WIDES(X)
#undef X
#define X(name, n, e) { #name, AMD_IS_HALF, n, 0, 0, 0, 0 },
    AMD_HALVES(X)
#undef X
#define X(name, n, e) { #name, AMD_IS_PACKED, n, 0, 0, 0, 0 },
    AMD_PACKEDS(X)
#undef X
#define X(name, e, scc) { #name, AMD_IS_SCALAR, 0, 0, 0, 0, 0 },
    AMD_SCALARS(X)
#undef X
#define X(name) { #name, AMD_IS_OTHER, 0, 0, 0, 0, 0 },
    AMD_OTHERS(X)
#undef X
};
static const struct amd_row amd_memories[] = {
#define X(name, what, bytes) { #name, AMD_IS_GLOBAL, 0, bytes, 1, 1, what },
    AMD_MEMORIES(X)
#undef X
};
static const struct amd_row amd_ds[] = {
#define X(name, what, bytes, places, unit) { #name, AMD_IS_DS, 0, bytes, places, unit, what },
    AMD_LDS(X)
#undef X
};
static const struct amd_row *amd_find(const struct amd_row *rows, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (!strcmp(rows[i].name, name))
            return &rows[i];
    return NULL;
}

static void amd_take(struct amd_code *c, const struct amd_row *r, enum amd_kind kind)
{
    c->kind = kind, c->n_source = r->n_source, c->bytes = r->bytes, c->places = r->places, c->unit = r->unit, c->what = r->what;
}
/* Which of the tables has the name; false where none. */
static bool amd_classify(struct amd_code *c, const char *name)
{
    const struct amd_row *r;
    int n, width = 0;
    if ((r = amd_find(amd_rows, sizeof amd_rows / sizeof *amd_rows, name))) {
        c->op = (enum amd_op)(r - amd_rows);
        amd_take(c, r, r->kind);
        return true;
    }
    for (const char *const *p = (const char *const[]){ "global_", "flat_", "buffer_", NULL }; *p; p++)
        if (!strncmp(name, *p, strlen(*p)) && (r = amd_find(amd_memories, sizeof amd_memories / sizeof *amd_memories, name + strlen(*p))))
            return amd_take(c, r, **p == 'b' ? AMD_IS_BUFFER : AMD_IS_GLOBAL), true;
    if (!strncmp(name, "ds_", 3) && (r = amd_find(amd_ds, sizeof amd_ds / sizeof *amd_ds, name + 3)))
        return amd_take(c, r, AMD_IS_DS), true;
    if (sscanf(name, "s_load_dword%n", &width) == 0 && width) {
        n = name[width] == 'x' ? atoi(name + width + 1) : 1;
        return c->kind = AMD_IS_SMEM, c->bytes = 4 * n, true;
    }
    if (sscanf(name, "s_cmp_%3[a-z]_%3s", c->how, c->type) == 2 || sscanf(name, "s_cmpk_%3[a-z]_%3s", c->how, c->type) == 2)
        return c->kind = AMD_IS_SCMP, true;
    if (sscanf(name, "v_cmpx_%5[a-z]_%3s", c->how, c->type) == 2)
        return c->kind = AMD_IS_VCMP, c->writes_exec = true;
    if (sscanf(name, "v_cmp_%5[a-z]_%3s", c->how, c->type) == 2)
        return c->kind = AMD_IS_VCMP, true;
    if (!strncmp(name, "v_mfma_", 7) && amd_mfma_named(&c->mfma, name))
        return c->kind = AMD_IS_MFMA, true;
    return false;
}

/* How many of the operands, from the first, are written. */
static int amd_written(const struct amd_code *c)
{
    const char *t = c->text;
    switch (c->kind) {
    case AMD_IS_GLOBAL: case AMD_IS_BUFFER: return strchr("lshd", c->what) || (!strchr("wuL", c->what) && strstr(t, " sc0")) ? 1 : 0;
    case AMD_IS_DS: return strchr("lshd", c->what) || strstr(t, "_rtn_") ? 1 : 0;
    case AMD_IS_SCMP: return 0;
    case AMD_IS_OTHER: break;
    default: return 1;
    }
    switch (c->op) {
    case AMD_v_mad_u64_u32: case AMD_v_mad_i64_i32: case AMD_v_add_co_u32: case AMD_v_addc_co_u32: case AMD_v_sub_co_u32: case AMD_v_subrev_co_u32: case AMD_v_subb_co_u32: case AMD_v_subbrev_co_u32:
    case AMD_v_div_scale_f32: case AMD_v_div_scale_f64: case AMD_v_swap_b32: return 2;
    case AMD_s_bitcmp0_b32: case AMD_s_bitcmp1_b32: case AMD_s_bitcmp1_b64: return 0;
    default: return c->n > 0 && c->o[0].kind != 'c';
    }
}
/* Whether what the first operand held matters. */
static bool amd_reads_old(const struct amd_code *c)
{
    static const char *const names[] = { "v_fmac_", "v_mac_", "v_dot4c_", "v_dot8c_", "v_dot2c_", "v_swap_", "s_addk_", "s_mulk_", "s_cmov", "s_bitset" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strncmp(c->text, names[i], strlen(names[i])))
            return true;
    return false;
}

static int amd_decode(struct amd_code *c, const char *text, const uint32_t *word)
{
    while (*text == '\t' || *text == ' ')
        text++;
    snprintf(c->text, sizeof c->text, "%.*s", (int)sizeof c->text - 1, text);
    char name[64], one[64];
    size_t n = strcspn(text, " ");
    snprintf(name, sizeof name, "%.*s", (int)n, text);
    for (char *end; (end = strrchr(name, '_')) && (!strcmp(end, "_e32") || !strcmp(end, "_e64") || !strcmp(end, "_dpp") || !strcmp(end, "_sdwa"));) {
        c->dpp |= !strcmp(end, "_dpp"), c->sdwa |= !strcmp(end, "_sdwa");
        *end = 0;
    }
    if (!amd_classify(c, name))
        return fprintf(stderr, "emu942: no '%s'\n", text), -1;
    if (!strcmp(name, "s_waitcnt")) {
        c->wait_vm = (int)((*word & 15) | (*word >> 14 & 3) << 4), c->wait_lgkm = (int)(*word >> 8 & 15);
        return 0;
    }
    const bool real64 = strstr(name, "_f64") != NULL, no_sel = !strcmp(name, "v_fma_mix_f32") || !strncmp(name, "v_fma_mix", 9);
    c->offset = c->kind == AMD_IS_DS || !strncmp(name, "ds_", 3) ? (int)(*word & 0xffff) : amd_field_of(text, " offset:");
    c->offset0 = (int)(*word & 255), c->offset1 = (int)(*word >> 8 & 255);
    c->op_sel = amd_bits(text, "op_sel:[", 0), c->op_sel_hi = amd_bits(text, "op_sel_hi:[", no_sel ? 0 : 7);
    c->neg_lo = amd_bits(text, "neg_lo:[", 0), c->neg_hi = amd_bits(text, "neg_hi:[", 0);
    c->clamp = strstr(text, " clamp") != NULL;
    c->scale = strstr(text, " mul:2") ? 2 : strstr(text, " mul:4") ? 4 : strstr(text, " div:2") ? 0.5f : 1;
    c->offen = strstr(text, " offen") != NULL, c->to_shared = c->what == 'L' || strstr(text, " lds") != NULL;
    if (strstr(text, "cbsz:") || strstr(text, "abid:") || strstr(text, "blgp:") || strstr(text, " idxen"))
        return fprintf(stderr, "emu942: no modifiers of '%s'\n", text), -1;
    for (int i = 0; i < 2 && c->sdwa; i++)
        c->source_select[i] = amd_select(text, i ? "src1_sel:" : "src0_sel:");
    c->select = c->sdwa ? amd_select(text, "dst_sel:") : 6;
    c->unused = strstr(text, "UNUSED_PRESERVE") ? 'p' : strstr(text, "UNUSED_SEXT") ? 's' : '0';
    c->row_mask = strstr(text, "row_mask:") ? amd_field_of(text, "row_mask:") : 15, c->bank_mask = strstr(text, "bank_mask:") ? amd_field_of(text, "bank_mask:") : 15;
    c->bound_zero = strstr(text, "bound_ctrl:") != NULL;
    for (int l = 0; l < 64 && c->dpp; l++)
        c->from_lane[l] = (signed char)amd_dpp_lane(text, l);
    for (const char *p = text + n; *p && c->n < 6;) {
        p += strspn(p, " ,");
        int depth = 0;
        size_t k = 0;
        for (; *p && (depth || (*p != ',' && *p != ' ')); p++) {
            depth += (*p == '[') - (*p == ']');
            if (k < sizeof one - 1)
                one[k++] = *p;
        }
        one[k] = 0;
        if (*one && !amd_operand(&c->o[c->n], one, real64))
            break;
        c->n += *one != 0;
        if (*p == ' ')
            break;                                               /* modifiers from here on */
    }
    c->n_written = amd_written(c), c->reads_old = amd_reads_old(c);
    return 0;
}
