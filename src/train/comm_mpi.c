/* comm_mpi.c - messages by Open MPI, whose library is opened when it is needed.
 *
 * Of its interface only what is declared here is used.  Handles are pointers to objects of the library, as in the binary interface of
 * libmpi.so.40 (Open MPI 3 to 5); other MPIs differ there, so that one is refused by name. */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "train/comm_link.h"

#define LIBRARY "libmpi.so.40"
#define TAG 1
enum { THREAD_SERIALIZED = 2, ERROR_TEXT_MAX = 256 };

/* Open MPI's MPI_Status. */
struct status { int source, tag, error, cancelled; size_t bytes; };

struct mpi {
    struct comm_link link;
    size_t expected;                              /* bytes of the message that is to come */
    void *library, *world, *byte, *request[LINK_SLOTS];
    int (*init_thread)(int *, char ***, int, int *);
    int (*finalize)(void);
    int (*comm_rank)(void *, int *), (*comm_size)(void *, int *);
    int (*set_errhandler)(void *, void *);
    int (*isend)(const void *, int, void *, int, int, void *, void **);
    int (*irecv)(void *, int, void *, int, int, void *, void **);
    int (*test)(void **, int *, struct status *);
    int (*error_string)(int, char *, int *);
};

static int env_int(const char *name)
{
    const char *text = getenv(name);
    return text ? atoi(text) : 0;
}

int mpi_env_size(void)
{
    const int n = env_int("OMPI_COMM_WORLD_SIZE");
    if (n)
        return n;
    if (getenv("PMIX_RANK"))                      /* srun --mpi=pmix */
        return env_int("SLURM_STEP_NUM_TASKS") > 1 ? env_int("SLURM_STEP_NUM_TASKS") : 1;
    return env_int("PMI_SIZE") > 1 ? env_int("PMI_SIZE") : 1;
}

static int failed(const struct mpi *m, int rc, const char *what, struct err *err)
{
    char text[ERROR_TEXT_MAX] = "";
    int n = 0;
    m->error_string(rc, text, &n);
    return ERR(err, IO, "MPI could not %s: %s", what, text);
}

static int post(struct comm_link *l, int slot, int peer, void *data, size_t n, struct err *err)
{
    struct mpi *m = (struct mpi *)l;
    if (slot == LINK_RECV)
        m->expected = n;
    const int rc = slot == LINK_SEND ? m->isend(data, (int)n, m->byte, peer, TAG, m->world, &m->request[slot])
                                     : m->irecv(data, (int)n, m->byte, peer, TAG, m->world, &m->request[slot]);
    return rc ? failed(m, rc, slot == LINK_SEND ? "send" : "receive", err) : 0;
}

static int poll_slot(struct comm_link *l, int slot, struct err *err)
{
    struct mpi *m = (struct mpi *)l;
    int done = 0;
    struct status status = { 0 };
    const int rc = m->test(&m->request[slot], &done, &status);
    if (!rc && done && slot == LINK_RECV && status.bytes != m->expected)
        return ERR(err, IO, "a message of %zu bytes came, expected %zu: the processes do not do the same", status.bytes, m->expected);
    return rc ? failed(m, rc, slot == LINK_SEND ? "send" : "receive", err) : done;
}

/* The library stays open: it has threads and handlers of its own. */
static void close_link(struct comm_link *l, bool orderly)
{
    struct mpi *m = (struct mpi *)l;
    if (orderly)
        m->finalize();
    mem_free(m);
}

/* A function's address by way of an object's, as POSIX allows. */
static bool find(struct mpi *m, const char *name, void *function)
{
    void *p = dlsym(m->library, name);
    memcpy(function, &p, sizeof p);
    return p != NULL;
}

static int load(struct mpi *m, struct err *err)
{
    m->library = dlopen(LIBRARY, RTLD_NOW | RTLD_GLOBAL);      /* global: its plug-ins look for its symbols */
    if (!m->library)
        return ERR(err, UNSUPPORTED, "this is one of %d processes, but Open MPI's library cannot be opened (%s); Debian's package is libopenmpi3", mpi_env_size(), dlerror());
    void *errors_return;
    const bool ok = find(m, "MPI_Init_thread", &m->init_thread) && find(m, "MPI_Finalize", &m->finalize) && find(m, "MPI_Comm_rank", &m->comm_rank) &&
                    find(m, "MPI_Comm_size", &m->comm_size) && find(m, "MPI_Comm_set_errhandler", &m->set_errhandler) && find(m, "MPI_Isend", &m->isend) &&
                    find(m, "MPI_Irecv", &m->irecv) && find(m, "MPI_Test", &m->test) && find(m, "MPI_Error_string", &m->error_string) &&
                    (m->world = dlsym(m->library, "ompi_mpi_comm_world")) && (m->byte = dlsym(m->library, "ompi_mpi_byte")) &&
                    (errors_return = dlsym(m->library, "ompi_mpi_errors_return"));
    if (!ok)
        return ERR(err, UNSUPPORTED, LIBRARY " is not Open MPI's: %s", dlerror());
    int provided = 0, rc = m->init_thread(NULL, NULL, THREAD_SERIALIZED, &provided);
    m->link.any_thread = provided >= THREAD_SERIALIZED;
    if (!rc)
        rc = m->set_errhandler(m->world, errors_return);
    if (!rc)
        rc = m->comm_rank(m->world, &m->link.rank);
    if (!rc)
        rc = m->comm_size(m->world, &m->link.size);
    return rc ? failed(m, rc, "start", err) : 0;
}

int mpi_open(struct comm_link **out, struct err *err)
{
    struct mpi *m = mem_alloc_zero(sizeof *m);
    if (!m)
        return ERR(err, NOMEM, "no memory to begin MPI");
    m->link.post = post, m->link.poll = poll_slot, m->link.close = close_link;
    int rc = load(m, err);
    if (!rc && m->link.size != mpi_env_size())
        rc = ERR(err, UNSUPPORTED, "this is one of %d processes, but Open MPI sees %d: they were started by the mpirun of another MPI, or by srun without --mpi=pmix",
                 mpi_env_size(), m->link.size);
    if (rc)
        mem_free(m);
    else
        *out = &m->link;
    return rc;
}
