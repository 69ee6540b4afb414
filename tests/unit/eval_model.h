/* eval_model.h - the golden Llama in a folder of the test with a tokenizer, and task files over words that it knows. */
#ifndef TESTS_EVAL_MODEL_H
#define TESTS_EVAL_MODEL_H
#include "../test.h"

static struct err err;

SHARED_BY_TESTS char *model_with(const char *tokenizer)
{
    static const char *const file[] = { "config.json", "model.safetensors" };
    char *folder = in_dir(tokenizer), from[200];
    struct buf b;
    OK(file_mkdirs(folder, &err));
    for (int i = 0; i < 3; i++) {
        snprintf(from, sizeof from, i < 2 ? "tests/golden/llama/%s" : "tests/golden/eval/%s.json", i < 2 ? file[i] : tokenizer);
        buf_init(&b);
        OK(file_read(from, 1 << 20, &b, &err));
        OK(file_write_all(path_in(folder, i < 2 ? file[i] : "tokenizer.json"), b.data, b.len, &err));
        buf_release(&b);
    }
    static const char names[] = "{\"bos_token\": \"<s>\", \"eos_token\": \"</s>\"}";
    OK(file_write_all(path_in(folder, "tokenizer_config.json"), names, sizeof names - 1, &err));
    return folder;
}

/* A task NAME of the files of the test's folder, over DOCS.jsonl there; its path. */
SHARED_BY_TESTS char *task_file(const char *name, const char *docs, const char *rest)
{
    char text[2000], *path = in_dir(name);
    const int n = snprintf(text, sizeof text, "task: %s\ndataset_path: json\ndataset_kwargs: {data_files: {test: %s/%s.jsonl}}\ntest_split: test\ndoc_to_text: \"{{q}}\"\n%s\n", name, test_dir, docs, rest);
    strcat(path, ".yaml");
    OK(file_write_all(path, text, (size_t)n, &err));
    return path;
}

#define CHOICES "output_type: multiple_choice\ndoc_to_choice: c\ndoc_to_target: y\nmetric_list: [{metric: acc}, {metric: acc_norm}]\nmetadata: {version: 1.0, cluster: p}"
#define ANSWERS "output_type: generate_until\nrepeats: 2\ndoc_to_target: \"{{c[0]}}\"\ngeneration_kwargs: {until: [\"\\n\"], max_gen_toks: 6, temperature: 1, do_sample: true}\n" \
                "metric_list: [{metric: exact_match}]\nfilter_list: [{name: word, filter: [{function: regex, regex_pattern: \"(to|on)\"}, {function: take_first}]}]"
#define TEXTS "output_type: loglikelihood_rolling\ndoc_to_target: \"{{q}}\"\nmetric_list: [{metric: word_perplexity, aggregation: weighted_perplexity}, {metric: bits_per_byte, aggregation: bits_per_byte}]"
#define WORDS "output_type: loglikelihood\ndoc_to_target: \" {{c[1]}}\"\nmetric_list: [{metric: perplexity, aggregation: perplexity}, {metric: acc, aggregation: mean}]"

/* n documents {q, c: [3 choices], y: label, p: passage}, the last with a label that is none. */
SHARED_BY_TESTS void write_docs(const char *name, int n)
{
    static const char *const words[] = { "the cat sat", "the dog ran", "a man ate", "rain on the mat", "the old mill", "it ran to the man" };
    char *path = in_dir(name);
    struct buf b;
    buf_init(&b);
    for (int i = 0; i < n; i++)
        OK(buf_printf(&b, &err, "{\"q\": \"%s and %s\", \"c\": [\"%s\", \"a ham\", \"%s\"], \"y\": %d, \"p\": %d}\n", words[i % 6], words[i / 6 % 6], words[(i + 1) % 6], words[(i + 3) % 6],
                      i + 1 < n ? i % 3 : 9, i / 4));
    strcat(path, ".jsonl");
    OK(file_write_all(path, b.data, b.len, &err));
    buf_release(&b);
}
#endif
