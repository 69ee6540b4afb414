/* deploy.h - what answers cost by load: machines that are rented or owned, and prices by the token; where one becomes cheaper than the other.
 *
 * Of a unit that sustains `capacity` requests a second within the targets (plan/simulate.h finds it) a load needs whole units, one at least: a machine that
 * waits costs as much rent as one that works.  Owned ones cost their price over their life, and energy, more when they work.  An API costs by the token
 * alone.  So cost by load is straight between whole numbers of units and jumps there, and two of them may cross many times.
 *
 * Pure functions, any thread.  US dollars; requests a second; watts. */
#ifndef PLAN_DEPLOY_H
#define PLAN_DEPLOY_H

struct deployment {
    char name[64];
    double capacity;                         /* of a unit; INFINITY: any load (an API); 0: it cannot do it */
    double usd_input, usd_output;            /* of a million tokens; 0: by the hour alone */
    double usd_hour;                         /* rent of a unit */
    double usd_unit, life_hours;             /* price of an owned unit, and how long it serves; usd_unit 0: not owned */
    double watts_idle, watts_busy, usd_kwh;  /* of a unit; usd_kwh 0: energy is in the rent */
};
struct deploy_work { double input, output; };        /* tokens of a mean request */

struct deploy_cost {
    double units, used;                      /* used: share of their capacity */
    double rent, capital, energy, tokens;    /* dollars an hour */
    double usd_hour, usd_request, usd_output_mtok;       /* all together; of a request; of a million output tokens with all else that they need */
    double wh_output_mtok;                   /* of their energy; NAN: not known */
};
/* rate > 0.  Of one that cannot do it all is INFINITY. */
struct deploy_cost deploy_cost(const struct deployment *d, const struct deploy_work *w, double rate);

/* Loads between from and to, both > 0, at which the cheaper of two changes, rising, to a relative 1e-9; at most `most` are kept, of those that 4,096 steps on a
 * logarithmic scale tell apart.  Returns how many there are. */
int deploy_crossings(const struct deployment *a, const struct deployment *b, const struct deploy_work *w, double from, double to, double *rate, int most);
/* From which load on b is never dearer than a, up to `to`; NAN: there is none. */
double deploy_break_even(const struct deployment *a, const struct deployment *b, const struct deploy_work *w, double from, double to);

/* What a plan takes for granted, one by one. */
#define DEPLOY_ASSUMPTIONS(X) X(CAPACITY, "capacity of a machine") X(RENT, "rent") X(MACHINE_PRICE, "price of a machine") X(LIFE, "its life") X(POWER, "watts") X(ENERGY_PRICE, "price of energy") \
    X(API_PRICE, "price of tokens") X(OUTPUT, "tokens of an answer") X(INPUT, "tokens of a prompt")
enum deploy_assumption {
#define X(name, word) DEPLOY_##name,
    DEPLOY_ASSUMPTIONS(X)
#undef X
    N_DEPLOY_ASSUMPTION
};
const char *deploy_assumption_name(enum deploy_assumption a);
/* The same with one assumption times a factor.  Longer prompts or answers lower capacity in proportion to the tokens that a request then has. */
void deploy_assume(struct deployment *d, struct deploy_work *w, enum deploy_assumption a, double factor);

#endif
