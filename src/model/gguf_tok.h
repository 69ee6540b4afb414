/* gguf_tok.h - a folder's tokenizer as GGUF's keys, as llama.cpp's converter would write it.
 *
 * Of tokenizer.json, byte-level BPE whose split has a name in GGUF becomes "gpt2", and BPE over characters with bytes to fall
 * back on "llama", with scores that give the same order of merges.  The normal form NFC (Qwen) is left out, as in every GGUF file.  Others are ERR_UNSUPPORTED with what GGUF cannot say. */
#ifndef MODEL_GGUF_TOK_H
#define MODEL_GGUF_TOK_H
#include "model/gguf.h"

/* bos, eos: what the configuration names, -1: none; refused where the tokenizer puts others around a text, and put where it alone has one.
 * n_vocab: rows of the embedding; tokens beyond the tokenizer's are unused ones.  Puts the chat templates too (chat_files_open). */
int gguf_put_tokenizer(struct gguf_writer *w, const char *folder, int n_vocab, int bos, int eos, struct err *err);
#endif
