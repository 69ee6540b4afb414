#include "model/features.h"

struct teller { const struct config *c; struct buf *out; struct err *err; };

static int count_layers(const struct config *c, int bit)
{
    int n = 0;
    for (int i = 0; i < c->n_layer; i++)
        n += (c->layer[i] & bit) != 0;
    return n;
}

/* " in all layers", " in 3 of 4 layers". */
static int tell_layers(const struct teller *t, int bit)
{
    const int n = count_layers(t->c, bit);
    return n == t->c->n_layer ? buf_add_str(t->out, " in all layers\n", t->err) : buf_printf(t->out, t->err, " in %d of %d layers\n", n, t->c->n_layer);
}

static int tell_norms(const struct teller *t)
{
    static const char *const places[N_PLACE_KIND] = { [PLACE_AFTER] = "on the output of each branch, before the sum",
                                                      [PLACE_BOTH] = "on the input and on the output of each branch", [PLACE_SUM] = "on the sum after each branch" };
    const struct config *c = t->c;
    if (places[c->place])
        TRY(buf_printf(t->out, t->err, "norms %s\n", places[c->place]));
    if (!c->norm_gain)
        TRY(buf_add_str(t->out, "norms without weights\n", t->err));
    if (c->norm_plus_one)
        TRY(buf_add_str(t->out, "norms' weights are stored less one\n", t->err));
    return c->parallel ? buf_add_str(t->out, "attention and MLP side by side, both from the layer's input\n", t->err) : 0;
}

static int tell_attention(const struct teller *t)
{
    const struct config *c = t->c;
    if (config_vision(c))
        TRY(buf_printf(t->out, t->err, "images of %d by %d in %d channels, as %d patches of %d by %d and cls\n", c->image_size, c->image_size, c->n_channel, config_n_patch(c), c->patch_size,
                       c->patch_size));
    if (c->n_label)
        TRY(buf_printf(t->out, t->err, "a head for %d classes, of %s\n", c->n_label, c->label_pool == LABEL_FIRST ? "the first token" : c->label_pool == LABEL_LAST ? "the last token" : "the tokens' mean"));
    else if (c->encoder)
        TRY(buf_printf(t->out, t->err, "encoder: tokens see later ones too; hidden states only%s\n", c->n_type ? ", token types" : ""));
    if (c->kv_rank)
        TRY(buf_printf(t->out, t->err, "latent attention: keys and values from %d numbers a token and %d that turn, values of %d%s\n", c->kv_rank, config_d_rot(c), c->d_v,
                       c->q_rank ? ", queries from few numbers too" : ""));
    if (c->window) {
        TRY(buf_printf(t->out, t->err, c->encoder ? "window of %d tokens before and after" : "window of %d tokens", c->window - c->encoder));
        TRY(tell_layers(t, LAYER_WINDOW));
    }
    if (c->qk_norm != QK_NORM_NONE)
        TRY(buf_printf(t->out, t->err, "norm of queries and keys, %s\n", c->qk_norm == QK_NORM_HEAD ? "each head" : "all heads together"));
    if (c->qkv_bias || c->o_bias || c->mlp_bias)
        TRY(buf_printf(t->out, t->err, "biases:%s%s%s\n", c->qkv_bias ? " q k v" : "", c->o_bias ? " attention's end" : "", c->mlp_bias ? " MLP" : ""));
    if (c->qkv_clip > 0)
        TRY(buf_printf(t->out, t->err, "q, k and v cut to +-%g\n", c->qkv_clip));
    if (c->query_scalar > 0)
        TRY(buf_printf(t->out, t->err, "scores divided by the root of %g\n", c->query_scalar));
    if (c->score_cap > 0)
        TRY(buf_printf(t->out, t->err, "scores capped at %g\n", c->score_cap));
    return c->sinks ? buf_add_str(t->out, "a sink for each head\n", t->err) : 0;
}

static int tell_positions(const struct teller *t)
{
    const struct config *c = t->c;
    const struct rope_config *r = &c->rope;
    if (c->pos != POS_ROPE)
        return 0;
    TRY(buf_printf(t->out, t->err, "RoPE base %g", r->theta));
    if (r->kind != ROPE_PLAIN)
        TRY(buf_printf(t->out, t->err, ", %s scaling", rope_kind_name(r->kind)));
    if (r->kind != ROPE_PLAIN && r->factor > 0)
        TRY(buf_printf(t->out, t->err, " by %g", r->factor));
    if (r->kind != ROPE_PLAIN && r->original_ctx)
        TRY(buf_printf(t->out, t->err, " from %d positions", r->original_ctx));
    if (c->rope_share < 1)
        TRY(buf_printf(t->out, t->err, ", %d of %d numbers of a head", config_d_rot(c), c->d_head));
    if (c->rope_pairs)
        TRY(buf_add_str(t->out, ", by neighbours", t->err));
    if (c->window && c->rope_local_theta > 0)
        TRY(buf_printf(t->out, t->err, "; base %g where there is a window", c->rope_local_theta));
    TRY(buf_add_char(t->out, '\n', t->err));
    if (!count_layers(c, LAYER_NO_ROPE))
        return 0;
    TRY(buf_add_str(t->out, "no positions", t->err));
    return tell_layers(t, LAYER_NO_ROPE);
}

static int tell_experts(const struct teller *t)
{
    const struct config *c = t->c;
    if (!c->n_expert)
        return 0;
    if (count_layers(c, LAYER_DENSE)) {
        TRY(buf_printf(t->out, t->err, "no experts, but an MLP of inner width %d,", c->d_ff));
        TRY(tell_layers(t, LAYER_DENSE));
    }
    if (c->router != ROUTER_SOFTMAX || c->router_correction || c->group_best)
        TRY(buf_printf(t->out, t->err, "experts chosen by %s%s\n", router_kind_name(c->router), c->router_correction ? ", corrected" : ""));
    if (c->group_best)
        TRY(buf_printf(t->out, t->err, "experts of %d of %d groups, by the best %s\n", c->n_group_chosen, c->n_group, c->group_best == 1 ? "one" : "two"));
    if (c->route_scale != 1)
        TRY(buf_printf(t->out, t->err, "gates times %g\n", c->route_scale));
    if (c->d_ff_shared)
        TRY(buf_printf(t->out, t->err, "one expert more for every token, inner width %d%s\n", c->d_ff_shared, c->shared_gate ? ", gated" : ""));
    return c->expert_bias ? buf_printf(t->out, t->err, "biases: %sexperts\n", c->router_bias ? "router and " : "") : 0;
}

int config_features(const struct config *c, struct buf *out, struct err *err)
{
    const struct teller t = { c, out, err };
    TRY(tell_norms(&t));
    TRY(tell_attention(&t));
    TRY(tell_positions(&t));
    TRY(tell_experts(&t));
    if (c->embed_scale)
        TRY(buf_add_str(out, "embeddings times the root of the width\n", err));
    if (c->logit_cap > 0)
        TRY(buf_printf(out, err, "logits capped at %g\n", c->logit_cap));
    const char *no = config_untrainable(c);
    return no ? buf_printf(out, err, "cannot be trained here: %s\n", no) : 0;
}
