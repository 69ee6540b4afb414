/* fuzz_oci.c - any bytes as a manifest of the OCI's: refused with a message, or blobs with digests, and files that stay below their folder, sorted and each once. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "store/models.h"
#include "store/oci.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void require(bool ok)
{
    if (!ok)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct err err = { 0 };
    struct oci_manifest m;
    struct manifest files;
    if (oci_manifest_parse(&m, (const char *)data, n, &err)) {
        require(err.code && *err.msg);
        return 0;
    }
    require(blob_id_ok(m.config.sha256) && (!*m.subject.sha256 || blob_id_ok(m.subject.sha256)));
    json_t *kept = json_array(), *o = oci_referrer(&m, m.config.sha256, n);
    if (oci_manifest_files(&m, &files, kept, &err)) {
        require(err.code && *err.msg);
    } else {
        require(files.n > 0);
        for (int i = 0; i < files.n; i++)
            require(model_path_ok(files.file[i].name) && blob_id_ok(files.file[i].sha256) && (!i || strcmp(files.file[i - 1].name, files.file[i].name)));
        manifest_release(&files);
    }
    json_decref(kept);
    json_decref(o);
    oci_manifest_release(&m);
    return 0;
}
