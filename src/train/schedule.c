#include "train/schedule.h"
#include <math.h>

double schedule_lr(const struct schedule *s, long step)
{
    if (step < s->warmup)
        return s->max * (double)(step + 1) / (double)s->warmup;
    if (s->kind == SCHEDULE_COSINE || s->kind == SCHEDULE_LINEAR) {
        const double r = s->steps > s->warmup ? fmin(1, (double)(step - s->warmup) / (double)(s->steps - s->warmup)) : 1;
        const double left = s->kind == SCHEDULE_LINEAR ? 1 - r : 0.5 * (1 + cos(3.14159265358979323846 * r));
        return s->min + left * (s->max - s->min);
    }
    const double decay = s->kind == SCHEDULE_WSD ? s->decay_share * (double)s->steps : 0, from = (double)s->steps - decay;
    if (decay <= 0 || (double)step < from)
        return s->max;
    const double r = ((double)step - from) / decay;
    return s->min + (1 - sqrt(r < 1 ? r : 1)) * (s->max - s->min);
}
