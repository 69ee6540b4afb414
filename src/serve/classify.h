/* classify.h - POST /classify: the class of texts or images, in vLLM's form.
 *
 * {"model", "input"}: a text or a list of texts; of a model of images a PNG or JPEG file in base64, bare or as a data URL, or a list of
 * these, and "fit" as lathe classify has it.  Answered by data[] of {index, label, probs, num_classes}, the likeliest class's name and the
 * probabilities of all in the order of the model's classes.
 *
 * Requests take turns (serve/turns.h), a text or CLASSIFY_BATCH images at a time; what an input gets does not depend on the others. */
#ifndef SERVE_CLASSIFY_H
#define SERVE_CLASSIFY_H
#include "serve/http.h"
#include "serve/served_model.h"

/* The request's JSON is taken. */
void classify_start(struct http_request *q, struct served_model *s, json_t *request);

#endif
