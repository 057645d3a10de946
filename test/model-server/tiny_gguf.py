"""
Writes a llama of half a megabyte: `tiny_gguf.py OUT`. Its weights are random, so its words mean nothing; tokeniser, chat template, context
window and shapes are proper, so the server treats it as any other model. Needs gguf and numpy.
"""

import sys

import gguf
import numpy as np

LAYERS, WIDTH, HEADS, FEED_FORWARD, CONTEXT = 2, 64, 4, 128, 2048

WORDS = [" the", " model", " route", " answers", " token", " stream", " and", " a", " of", " to", ".", ",", "\n"]
SPACE = "\u2581"  # SentencePiece's

special = ["<unk>", "<s>", "</s>"]
byte_tokens = [f"<0x{byte:02X}>" for byte in range(256)]  # whatever is no word is spelt in bytes, so any prompt can be read
pieces = [word.replace(" ", SPACE) for word in WORDS] + list("abcdefghijklmnopqrstuvwxyz" + SPACE)
tokens = special + byte_tokens + pieces
UNKNOWN, CONTROL, BYTE, NORMAL = 2, 3, 6, 1
types = [UNKNOWN, CONTROL, CONTROL] + [BYTE] * len(byte_tokens) + [NORMAL] * len(pieces)
scores = [0.0] * (len(special) + len(byte_tokens)) + [-float(rank) for rank in range(len(pieces))]


def describe(writer: gguf.GGUFWriter) -> None:
    writer.add_name("tiny")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_vocab_size(len(tokens))
    writer.add_file_type(0)
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_scores(scores)
    writer.add_token_types(types)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_chat_template(
        "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}assistant: "
    )


def add_weights(writer: gguf.GGUFWriter) -> None:
    random = np.random.default_rng(7)  # the same file on every machine

    def matrix(name: str, rows: int, columns: int) -> None:
        writer.add_tensor(f"{name}.weight", (random.standard_normal((rows, columns)) * 0.05).astype(np.float32))

    def norm(name: str) -> None:
        writer.add_tensor(f"{name}.weight", np.ones(WIDTH, dtype=np.float32))

    matrix("token_embd", len(tokens), WIDTH)
    norm("output_norm")
    matrix("output", len(tokens), WIDTH)
    for layer in range(LAYERS):
        norm(f"blk.{layer}.attn_norm")
        norm(f"blk.{layer}.ffn_norm")
        for part in ("attn_q", "attn_k", "attn_v", "attn_output"):
            matrix(f"blk.{layer}.{part}", WIDTH, WIDTH)
        matrix(f"blk.{layer}.ffn_gate", FEED_FORWARD, WIDTH)
        matrix(f"blk.{layer}.ffn_up", FEED_FORWARD, WIDTH)
        matrix(f"blk.{layer}.ffn_down", WIDTH, FEED_FORWARD)


writer = gguf.GGUFWriter(sys.argv[1], "llama")
describe(writer)
add_weights(writer)
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()
