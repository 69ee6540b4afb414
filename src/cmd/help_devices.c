#include "cmd/help_devices.h"
#include <stdio.h>
#include "plan/device.h"

/* In units of `unit`, five digits at most; empty where it is not known. */
static void cell(double x, double unit)
{
    if (x > 0)
        printf(" %.5g |", x / unit);
    else
        printf(" |");
}

static void words(const char *s) { printf(" %s |", s ? s : ""); }

static void data_sheets(void)
{
    printf("\n## Data sheets\n\n| device | key | f32 | bf16 | fp8 | int8 | fp4 | GiB | GB/s | units | link | pair | node | network | W | $ an hour |\n"
           "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n");
    for (int i = 0; i < device_n(); i++) {
        const struct device *d = device_at(i);
        printf("| %s | `%s` |", d->name, d->key);
        for (int n = 0; n < N_NUMBER; n++)
            cell(d->peak[n], 1e12);
        cell(d->memory, 1073741824.0), cell(d->bandwidth, 1e9), cell(d->units, 1);
        cell(d->link, 1e9), cell(d->link_pair, 1e9), cell(d->node, 1), cell(d->network, 1e9), cell(d->watts, 1);
        if (d->price_low < d->price_high)
            printf(" %.2f - %.2f - %.2f (%s) |\n", d->price_low, d->price, d->price_high, d->price_date);
        else if (d->price > 0)
            printf(" %.2f (%s) |\n", d->price, d->price_date);
        else
            printf(" |\n");
    }
}

static void reached(void)
{
    printf("\n## What is reached\n\n| device | bf16 | fp8 | int8 | fp4 | reads | launch | tile | ridge | kernel | link | step | switch | from what |\n"
           "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n");
    for (int i = 0; i < device_n(); i++) {
        const struct device *d = device_at(i);
        printf("| %s | %.3g |", d->name, d->mma);
        for (int n = NUMBER_FP8; n < N_NUMBER; n++)
            cell(d->peak[n] ? d->mma_of[n] ? d->mma_of[n] : d->mma : 0, 1);
        printf(" %.3g | %.3g | %.3g | %.3g | %.3g |", d->reach, d->launch * 1e6, d->tile * 1e6, d->ridge, d->kernel * 1e6);
        cell(d->link ? d->link_share : 0, 1), cell(d->link ? d->link_latency : 0, 1e-6), cell(d->link ? d->reduce_share : 0, 1);
        words(d->fitted), printf("\n");
    }
}

static void sources(void)
{
    printf("\n## Sources\n\n| device | source | from memory | notes |\n|---|---|---|---|\n");
    for (int i = 0; i < device_n(); i++) {
        const struct device *d = device_at(i);
        printf("| %s |", d->name), words(d->source), words(d->from_memory), words(d->notes), printf("\n");
    }
}

void help_devices(void)
{
    printf("# Devices\n\n"
           "Made by `lathe help devices` from src/plan/devices.def: the accelerators and processors that a plan may be for. A name is found by its key,\n"
           "its name or what others call it, in any case and without the vendor; `lathe plan --devices --json` has the same rows.\n\n"
           "*Peaks* are 1e12 operations a second, dense ones: never those with half the operands zero. Operands without a figure are widened (fp4, fp8,\n"
           "bf16, f32). *GiB* is what the driver reports, where it was seen. *Units* are multiprocessors, compute units or cores. *Link* and *pair* are\n"
           "GB/s in one direction, of one device to all others of its node and to one of them; a *node* is as many as its links join; *network* is a\n"
           "device's own card. Prices are of one device, low, typical and high, from public lists of the day that is given.\n\n"
           "*What is reached*: shares of the peak by products, of the bandwidth by long reads (*reads*); microseconds of a launch and of a tile beside\n"
           "its sums; the tile from which on operands are not waited for (src/plan/product.h); microseconds of a *kernel* that passes over a few rows,\n"
           "in a graph (measured of NVIDIA's only). Of exchanges: the share of the link, microseconds of a step, and the share while the switch adds\n"
           "(src/plan/collective.h). `bench/device_fit` and `bench/plan_fit` fit them to products and exchanges that others measured (bench/measured,\n"
           "bench/records); the errors are of weights and sizes that were not fitted to. A device that was not measured has the nearest one's, and says\n"
           "so; int8 was measured of an MI300X and an MI355X only and elsewhere goes as fp8.\n\n"
           "*From memory* names what has no source that was looked up: check it before money depends on it. Short names: ml-engineering is\n"
           "github.com/stas00/ml-engineering @744d01e; aiconfigurator is github.com/ai-dynamo/aiconfigurator @095f58a; MLPerf v6.0 the submitters'\n"
           "descriptions of their systems.\n\n"
           "**Partition modes** of AMD's packages stand behind a colon: `mi300x:cpx`, `mi300x:cpx/nps4`, `mi300a:tpx`. SPX is the whole; DPX, TPX, QPX\n"
           "and CPX make 2, 3, 4 and all dies devices of their own, each with its share of everything; NPS4 divides the memory in four and goes with\n"
           "CPX. Of an MI300X all dies alone multiply 10 to 15 %% more together, and NPS4 reads 5 %% faster (AMD, 2025); 64 of them reach 26 GB/s in\n"
           "long exchanges.\n");
    data_sheets();
    reached();
    sources();
}
