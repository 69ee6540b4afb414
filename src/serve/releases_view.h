/* releases_view.h - what there is to say of a registry's models, for people, as JSON; the caller's.  Errors: those of registry.h and events.h. */
#ifndef SERVE_RELEASES_VIEW_H
#define SERVE_RELEASES_VIEW_H
#include "store/events.h"
#include "store/release.h"

#define RELEASES_VERSIONS 30             /* the newest of a name that are shown */
#define RELEASES_FIGURES 40              /* of a version */

/* { name, versions: [{ number, root, bytes, t, actor, reason, aliases, parents, facts, evidence: [{ kind, file, t }], figures: [{ figure, value }] }], more: of
 * versions that are not shown, releases: [{ alias, stable, previous, candidate, mode, share, seq, t, servers: [{ server, number, state, message, t }] }] },
 * the newest versions first; numbers are 0 where there is none, shares are 0 to 1.  A figure is of the newest evidence that has it. */
int releases_view(struct registry *g, const char *name, json_t **out, struct err *err);
/* { name, since, versions: [{ version, arm, answers, failed, prompt_nll, entropy, first_s, total_s }] } of answers by versions of this name
 * since then (events_summary()). */
int releases_view_events(struct registry *g, struct events *e, const char *name, int64_t since, json_t **out, struct err *err);
/* { name, since, step_s, steps, versions: [{ version, arm, points }] }: events_traffic() of the versions of this name, in RELEASES_STEPS steps. */
#define RELEASES_STEPS 60
int releases_view_traffic(struct registry *g, struct events *e, const char *name, int64_t since, int64_t step, json_t **out, struct err *err);
/* { of: NAME@N, edges, nodes: [{ id, name, number, kind, t, trained, aliases, evidence: [{ kind, file, blob }] }] }: registry_lineage(), and what is known of
 * those of its ends that are versions of this registry, at most RELEASES_NODES; trained: it has a training run's records among its files. */
#define RELEASES_NODES 60
int releases_view_lineage(struct registry *g, const struct registry_version *v, json_t **out, struct err *err);
/* The release, as it stands in releases_view(), without servers. */
json_t *release_json(const struct registry_release *r);

#endif
