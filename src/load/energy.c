#include "load/energy.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"

#define MICRO 1e-6

enum { PATH = 256 };

/* false: it does not fit, which no path of the kernel's is. */
static bool join(char out[PATH], const char *folder, const char *name) { return snprintf(out, PATH, "%s/%s", folder, name) < PATH; }

/* The first line of a small file of the kernel; false: it cannot be read. */
static bool read_line(const char *path, char *out, size_t n)
{
    struct buf text;
    struct err ignored;
    buf_init(&text);
    const int rc = file_read(path, 4096, &text, &ignored);
    if (!rc)
        snprintf(out, n, "%.*s", (int)strcspn(text.data, "\n"), text.data);
    buf_release(&text);
    return !rc;
}

static bool read_micro(const char *path, double *out)
{
    char line[64], *end;
    if (!read_line(path, line, sizeof line))
        return false;
    *out = MICRO * strtod(line, &end);
    return end != line && isfinite(*out) && *out >= 0;
}

static void tell(struct energy *e, const char *text)
{
    const size_t n = strlen(e->why);
    if (!strstr(e->why, text))
        snprintf(e->why + n, sizeof e->why - n, "%s%s", n ? "; " : "", text);
}

/* Counts a file from now on; false: it is not there, or may not be read, which is then told. */
static bool add(struct energy *e, const char *folder, const char *file, const char *name, bool is_power, double range)
{
    struct energy_source s = { .is_power = is_power, .range = range };
    if (e->n == ENERGY_SOURCES || !join(s.path, folder, file) || !file_exists(s.path))
        return false;
    snprintf(s.name, sizeof s.name, "%s", name);
    if (!read_micro(s.path, &s.last)) {
        char text[160];
        snprintf(text, sizeof text, "%.80s is there, but may not be read (root may)", name);
        tell(e, text);
        return false;
    }
    e->source[e->n++] = s;
    return true;
}

/* ---- RAPL ---- */

static void add_zone(struct energy *e, const char *folder, const char *zone)
{
    char path[PATH], file[PATH], name[48];
    double range = 0;
    if (!join(path, folder, zone) || !join(file, path, "name") || !read_line(file, name, sizeof name) || (strncmp(name, "package", 7) && strcmp(name, "dram")))
        return;
    if (!join(file, path, "max_energy_range_uj") || !read_micro(file, &range))
        range = 0;
    add(e, path, "energy_uj", name, false, range);
}

/* ---- hwmon ---- */

static bool is_card(const char *driver) { return !strcmp(driver, "amdgpu") || !strcmp(driver, "xe") || !strcmp(driver, "i915"); }

static void add_sockets(struct energy *e, const char *folder)
{
    for (int i = 1; i <= 512; i++) {
        char name[32], file[PATH], label[48];
        snprintf(name, sizeof name, "energy%d_label", i);
        if (!join(file, folder, name) || !read_line(file, label, sizeof label))
            return;
        snprintf(name, sizeof name, "energy%d_input", i);
        if (!strncmp(label, "Esocket", 7))
            add(e, folder, name, label, false, 0);
    }
}

static void add_power(struct energy *e, const char *folder, const char *name)
{
    if (!add(e, folder, "power1_average", name, true, 0))
        add(e, folder, "power1_input", name, true, 0);
}

static void add_monitor(struct energy *e, const char *folder, const char *monitor, bool has_package)
{
    char path[PATH], file[PATH], driver[48];
    if (!join(path, folder, monitor) || !join(file, path, "name") || !read_line(file, driver, sizeof driver))
        return;
    if (!strcmp(driver, "amd_energy") && !has_package)
        add_sockets(e, path);
    else if (is_card(driver) && !add(e, path, "energy1_input", driver, false, 0))
        add_power(e, path, driver);
    else if (!strcmp(driver, "power_meter") && !e->n)
        add_power(e, path, "power_meter (the whole machine)");
}

/* ---- all ---- */

static void each_in(struct energy *e, const char *folder, void (*what)(struct energy *e, const char *folder, const char *name))
{
    struct err ignored;
    char **names;
    int n;
    if (!file_is_dir(folder) || file_list(folder, &names, &n, &ignored) < 0)
        return;
    for (int i = 0; i < n; i++)
        what(e, folder, names[i]);
    file_list_free(names, n);
}

static void look_at_zone(struct energy *e, const char *folder, const char *name)
{
    if (!strncmp(name, "intel-rapl:", 11))              /* not intel-rapl-mmio, which has the packages a second time */
        add_zone(e, folder, name);
}

static void look_at_monitor(struct energy *e, const char *folder, const char *name)
{
    bool has_package = false;
    for (int i = 0; i < e->n; i++)
        has_package = has_package || !strncmp(e->source[i].name, "package", 7);
    add_monitor(e, folder, name, has_package);
}

void energy_open(struct energy *e, const char *root)
{
    char folder[PATH];
    *e = (struct energy){ 0 };
    root = root ? root : "/sys/class";
    snprintf(folder, sizeof folder, "%.200s/powercap", root);
    each_in(e, folder, look_at_zone);
    snprintf(folder, sizeof folder, "%.200s/hwmon", root);
    each_in(e, folder, look_at_monitor);
    if (file_exists("/proc/driver/nvidia/version"))
        tell(e, "NVIDIA's cards are not counted");
    if (!e->n && !*e->why)
        tell(e, "this machine has no counters of energy (RAPL, hwmon)");
}

static void sample_one(struct energy *e, struct energy_source *s, double seconds)
{
    double v;
    if (!read_micro(s->path, &v)) {
        char text[120];
        snprintf(text, sizeof text, "%.60s could not be read to the end", s->name);
        tell(e, text);
        s->joules = NAN;
        return;
    }
    if (e->n_sample)
        s->joules += s->is_power ? (s->last + v) / 2 * seconds : v >= s->last ? v - s->last : s->range > 0 ? v - s->last + s->range : (double)NAN;
    s->last = v;
}

void energy_sample(struct energy *e, double now)
{
    for (int i = 0; i < e->n; i++)
        sample_one(e, &e->source[i], now - e->now);
    e->start = e->n_sample ? e->start : now;
    e->now = now, e->n_sample++;
}

double energy_joules(const struct energy *e)
{
    double sum = 0;
    for (int i = 0; i < e->n; i++)
        sum += e->source[i].joules;
    return e->n && e->n_sample > 1 ? sum : (double)NAN;
}

void energy_names(const struct energy *e, char *out, size_t n)
{
    *out = 0;
    for (int i = 0; i < e->n; i++)
        snprintf(out + strlen(out), n - strlen(out), "%s%s", i ? ", " : "", e->source[i].name);
}
