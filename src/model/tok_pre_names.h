/* tok_pre_names.h - how llama.cpp's names of pre-tokenizers (tokenizer.ggml.pre) split text: expressions, one after the other.
 *
 * Where llama.cpp spells (?i:'s|...) out for its own engine, the maker's expression stands here.  Names that it gives code
 * instead of expressions (kimi-k2, afmoe, deepseek-llm's letter classes, granite-embed-multi-97m) are not supported. */
#define GPT2_PATTERN "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
#define LLAMA3_PATTERN "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define QWEN2_PATTERN "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define QWEN35_PATTERN "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define MINICPM_PATTERN "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}+| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define UFAKZEKA_PATTERN "[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define SEED_PATTERN "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1}| ?[^\\s\\p{L}\\p{N}\\r\\n]+|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define BAILING_PATTERN "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+"
#define EXAONE_MOE_PATTERN "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?(?:\\p{L}\\p{M}*(?: \\p{L}\\p{M}*)*)+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]?|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+"
#define JAIS2_PATTERN "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s{512}(?!\\S)|\\s{256}(?!\\S)|\\s{128}(?!\\S)|\\s{64}(?!\\S)|\\s{32}(?!\\S)|\\s{16}(?!\\S)|\\s{8}(?!\\S)|\\s{4}(?!\\S)|\\s{1,2}(?!\\S)|\\s{1}"
#define O200K_PATTERN "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define TEKKEN_PATTERN "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define YOUTU_PATTERN "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define DEEPSEEK_PATTERN "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+"
#define CJK_PATTERN "[\xe4\xb8\x80-\xe9\xbe\xa5\xe3\x81\x80-\xe3\x82\x9f\xe3\x82\xa0-\xe3\x83\xbf]+"
#define NUM_PATTERN "\\p{N}"
#define NUM3_PATTERN "\\p{N}{1,3}"
#define NUMS_PATTERN "\\p{N}+"
#define DIGITS3_PATTERN "[0-9][0-9][0-9]"
#define FALCON_PATTERN "[\\p{P}\\$\\+<=>\\^~\\|`]+"
#define DEFAULT_PATTERN "[\\p{P}\\$\\+<=>\\^~\\|]+"
#define BLOOM_PATTERN " ?[^(\\s|.,!?\xe2\x80\xa6\xe3\x80\x82\xef\xbc\x8c\xe3\x80\x81\xe0\xa5\xa4\xdb\x94\xd8\x8c)]+"
#define LINES_PATTERN "[^\\n]+|[\\n]+"
#define AYA_PATTERN "\\d{1,3}(?=(?:\\d{3})*\\b)"
#define THREES_PATTERN "(?=(\\d{3})+(?!\\d))"
#define BREAK_PATTERN "[\r\n]"
#define CODER1_PATTERN "\\s?\\p{L}+"
#define CODER2_PATTERN "\\s?\\p{P}+"
#define CHARS_PATTERN "[\xe4\xb8\x80-\xe9\xbe\xa5\xe0\xa0\x80-\xe4\xb8\x80\xea\xb0\x80-\xed\x9f\xbf]+"
#define YOUTU1_PATTERN "[\xea\xb0\x80-\xed\x9e\xa3\xe3\x84\xb1-\xe3\x86\x8e]+|[\xef\xbc\x81\xe2\x80\xa6\xe2\x80\x9c\xe2\x80\x9d\xe2\x80\x98\xe2\x80\x99\xe2\x80\x94\xef\xbc\x9a\xef\xbc\x9b\xef\xbc\x8c\xe3\x80\x81-\xe3\x80\xbf\xef\xb8\xb0-\xef\xb9\x8f]+|[\xe3\x84\x85-\xe3\x84\xaf]+|[\xe4\xb8\x80-\xe9\xbe\xa5\xe3\x81\x80-\xe3\x82\x9f\xe3\x82\xa0-\xe3\x83\xbf]+"
#define SENTINEL_PATTERN "<sentinel:[0-9]+>"
#define IMAGE_PATTERN "(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z"
#define TABS_PATTERN "([\\t\\n]|    |  )"
#define PUNCT_PATTERN "[\\p{P}!-/:-@\\[-`{-~]"

static const struct pre_name { const char *name, *pattern[6]; bool ignore_merges; } pre_names[] = {
    { "default", { DEFAULT_PATTERN, GPT2_PATTERN, NUMS_PATTERN, DIGITS3_PATTERN }, false },
    { "llama3", { LLAMA3_PATTERN }, true },
    { "llama-v3", { LLAMA3_PATTERN }, true },
    { "llama-bpe", { LLAMA3_PATTERN }, true },
    { "falcon3", { LLAMA3_PATTERN }, true },
    { "falcon-h1", { LLAMA3_PATTERN }, true },
    { "pixtral", { LLAMA3_PATTERN }, true },
    { "midm-2.0", { LLAMA3_PATTERN }, true },
    { "lfm2", { LLAMA3_PATTERN }, true },
    { "jina-v5-nano", { LLAMA3_PATTERN }, true },
    { "minicpm5", { NUM3_PATTERN, MINICPM_PATTERN }, true },
    { "dbrx", { LLAMA3_PATTERN }, false },
    { "smaug-bpe", { LLAMA3_PATTERN }, false },
    { "glm4", { LLAMA3_PATTERN }, false },
    { "chatglm-bpe", { LLAMA3_PATTERN }, false },
    { "jais-2", { JAIS2_PATTERN }, false },
    { "deepseek-coder", { BREAK_PATTERN, CODER1_PATTERN, CODER2_PATTERN, CHARS_PATTERN, NUM_PATTERN }, false },
    { "deepseek-v3", { NUM3_PATTERN, CJK_PATTERN, DEEPSEEK_PATTERN }, false },
    { "hunyuan-dense", { NUM3_PATTERN, CJK_PATTERN, DEEPSEEK_PATTERN }, false },
    { "joyai-llm", { NUM3_PATTERN, CJK_PATTERN, DEEPSEEK_PATTERN }, false },
    { "hy_v4", { NUM3_PATTERN, CJK_PATTERN, DEEPSEEK_PATTERN }, false },
    { "youtu", { YOUTU1_PATTERN, YOUTU_PATTERN }, true },
    { "falcon", { FALCON_PATTERN, GPT2_PATTERN, DIGITS3_PATTERN }, false },
    { "starcoder", { NUM_PATTERN, GPT2_PATTERN }, false },
    { "refact", { NUM_PATTERN, GPT2_PATTERN }, false },
    { "command-r", { NUM_PATTERN, GPT2_PATTERN }, false },
    { "smollm", { NUM_PATTERN, GPT2_PATTERN }, false },
    { "codeshell", { NUM_PATTERN, GPT2_PATTERN }, false },
    { "exaone", { NUM_PATTERN, GPT2_PATTERN }, false },
    { "minerva-7b", { NUM_PATTERN, GPT2_PATTERN }, false },
    { "mellum2", { NUM_PATTERN, GPT2_PATTERN }, false },
    { "gpt-2", { GPT2_PATTERN }, false },
    { "phi-2", { GPT2_PATTERN }, false },
    { "jina-es", { GPT2_PATTERN }, false },
    { "jina-de", { GPT2_PATTERN }, false },
    { "gigachat", { GPT2_PATTERN }, false },
    { "jina-v2-es", { GPT2_PATTERN }, false },
    { "jina-v2-de", { GPT2_PATTERN }, false },
    { "a.x-4.0", { GPT2_PATTERN }, false },
    { "mellum", { GPT2_PATTERN }, false },
    { "modern-bert", { GPT2_PATTERN }, false },
    { "jina-v1-en", { GPT2_PATTERN }, false },
    { "jina-v2-code", { GPT2_PATTERN }, false },
    { "roberta-bpe", { GPT2_PATTERN }, false },
    { "mpt", { GPT2_PATTERN }, false },
    { "olmo", { GPT2_PATTERN }, false },
    { "jais", { GPT2_PATTERN }, false },
    { "trillion", { GPT2_PATTERN }, false },
    { "granite-docling", { GPT2_PATTERN }, false },
    { "exaone4", { GPT2_PATTERN }, false },
    { "qwen2", { QWEN2_PATTERN }, false },
    { "deepseek-r1-qwen", { QWEN2_PATTERN }, false },
    { "kormo", { QWEN2_PATTERN }, false },
    { "f2llmv2", { QWEN2_PATTERN }, false },
    { "stablelm2", { QWEN2_PATTERN }, false },
    { "hunyuan", { QWEN2_PATTERN }, false },
    { "solar-open", { QWEN2_PATTERN }, false },
    { "megrez", { QWEN2_PATTERN }, false },
    { "grok-2", { QWEN2_PATTERN }, false },
    { "qwen35", { QWEN35_PATTERN }, false },
    { "poro-chat", { BLOOM_PATTERN }, false },
    { "bloom", { BLOOM_PATTERN }, false },
    { "gpt3-finnish", { BLOOM_PATTERN }, false },
    { "viking", { BLOOM_PATTERN, NUM_PATTERN }, false },
    { "tekken", { TEKKEN_PATTERN }, true },
    { "chameleon", { SENTINEL_PATTERN, IMAGE_PATTERN, TABS_PATTERN, NUM_PATTERN, PUNCT_PATTERN, GPT2_PATTERN }, false },
    { "gpt-4o", { O200K_PATTERN }, false },
    { "llama4", { O200K_PATTERN }, false },
    { "kanana2", { O200K_PATTERN }, false },
    { "talkie", { O200K_PATTERN }, false },
    { "minimax-m2", { O200K_PATTERN }, false },
    { "tiny_aya", { AYA_PATTERN, O200K_PATTERN }, false },
    { "cohere2moe", { AYA_PATTERN, O200K_PATTERN }, false },
    { "superbpe", { NUMS_PATTERN, THREES_PATTERN }, false },
    { "bailingmoe", { BAILING_PATTERN }, false },
    { "bailingmoe2", { BAILING_PATTERN }, false },
    { "llada-moe", { BAILING_PATTERN }, false },
    { "seed-coder", { SEED_PATTERN }, false },
    { "ufakzeka", { UFAKZEKA_PATTERN }, false },
    { "laguna", { LINES_PATTERN, QWEN2_PATTERN }, false },
    { "exaone-moe", { EXAONE_MOE_PATTERN }, false },
};
