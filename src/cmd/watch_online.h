/* watch_online.h - lathe watch NAME: the answers that servers record, look after look; and their erasure.  Internal to cmd/. */
#ifndef CMD_WATCH_ONLINE_H
#define CMD_WATCH_ONLINE_H
#include "base/opt.h"
#include "watch/reference.h"

struct watch_online {
    const char *events;                  /* where they are; NULL: of the registry */
    const char *since, *until, *from;    /* moments: of the reference; from: what is watched begins there */
    const char *reference, *signals, *out, *rules, *erase;
    double every_s; const char *window;
    bool once;
    double alpha, arl; uint64_t seed;
};
extern struct watch_online watch_online;
#define OPTS_WATCH_ONLINE \
    { OPT_STR, "events", &watch_online.events, "<where>", "NAME: where answers are recorded (lathe serve --record); of the registry unless given", 0, 0 }, \
    { OPT_STR, "since", &watch_online.since, "<time>", "NAME: the reference is of answers from this moment on, as 2026-11-27T14:30Z", 0, 0 }, \
    { OPT_STR, "until", &watch_online.until, "<time>", "NAME: and before this one; without --reference and both, the reference of the version in the registry", 0, 0 }, \
    { OPT_STR, "from", &watch_online.from, "<time>", "NAME: watch what was recorded from here on; --until unless given, else now", 0, 0 }, \
    { OPT_FLOAT, "every", &watch_online.every_s, "<seconds>", "NAME: between two looks", 0.1, 86400 }, \
    { OPT_STR, "window", &watch_online.window, "<time>", "NAME: effects are of the answers of so long, as 1h: of the newest 20,000 at most", 0, 0 }, \
    { OPT_STR, "rules", &watch_online.rules, "<file>", "NAME: what is done when something has changed (doc/recording.md)", 0, 0 }, \
    { OPT_FLAG, "once", &watch_online.once, NULL, "NAME: one look at all that is there, and its result as the exit code", 0, 0 }, \
    { OPT_STR, "erase", &watch_online.erase, "<user>", "delete all that was recorded of a user, or of a key, by name", 0, 0 }

/* name: NAME or NAME@ALIAS. */
int watch_online_run(const char *name, struct err *err);
int watch_online_erase(struct err *err);
#endif
