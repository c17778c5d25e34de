"""A model server that is not ours: llama.cpp's, with a tiny model of random weights.

`python -m tests.web.llama FILE.gguf` makes the model in that file, serves it until it is terminated, and prints the base URL.
"""

import signal
import sys

import gguf
import numpy as np
import xllamacpp

_CONTEXT = 4096
_EMBEDDING, _HEADS, _FORWARD = 32, 4, 64
_SPECIAL = ("<unk>", "<s>", "</s>")
_WORDS = ("▁the", "▁turn", "▁waits", "▁then", "▁runs", "▁and", "▁ends", "▁in", "▁its", "▁own", "▁history")
_TEMPLATE = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}assistant:"


def write_model(path: str) -> None:
    """Make a model of one layer that says random words."""
    tokens = [*_SPECIAL, *(f"<0x{byte:02X}>" for byte in range(256)), *_WORDS]
    kinds = [gguf.TokenType.UNKNOWN, gguf.TokenType.CONTROL, gguf.TokenType.CONTROL]
    kinds += [gguf.TokenType.BYTE] * 256 + [gguf.TokenType.NORMAL] * len(_WORDS)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(_CONTEXT)
    writer.add_embedding_length(_EMBEDDING)
    writer.add_block_count(1)
    writer.add_feed_forward_length(_FORWARD)
    writer.add_head_count(_HEADS)
    writer.add_head_count_kv(_HEADS)
    writer.add_rope_dimension_count(_EMBEDDING // _HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([-float(place) for place in range(len(tokens))])
    writer.add_token_types(kinds)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_chat_template(_TEMPLATE)
    _write_weights(writer, len(tokens))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _write_weights(writer: gguf.GGUFWriter, vocabulary: int) -> None:
    random = np.random.default_rng(4)
    square, up, down = (_EMBEDDING, _EMBEDDING), (_FORWARD, _EMBEDDING), (_EMBEDDING, _FORWARD)
    shapes = {"token_embd": (vocabulary, _EMBEDDING), "output": (vocabulary, _EMBEDDING)}
    shapes |= {f"blk.0.attn_{part}": square for part in ("q", "k", "v", "output")}
    shapes |= {"blk.0.ffn_gate": up, "blk.0.ffn_up": up, "blk.0.ffn_down": down}
    for name, shape in shapes.items():
        writer.add_tensor(f"{name}.weight", random.normal(0, 0.3, shape).astype(np.float32))
    for name in ("output_norm", "blk.0.attn_norm", "blk.0.ffn_norm"):
        writer.add_tensor(f"{name}.weight", np.ones(_EMBEDDING, dtype=np.float32))


def serve(path: str) -> None:
    """Serve the model on loopback until SIGTERM."""
    params = xllamacpp.CommonParams()
    params.model.path = path
    params.n_ctx = _CONTEXT
    params.n_parallel = 2
    params.hostnames = ["127.0.0.1"]
    server = xllamacpp.Server(params)
    sys.stdout.write(f"{server.listening_address}/v1\n")
    sys.stdout.flush()
    signal.sigwait([signal.SIGTERM, signal.SIGINT])


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGINT])
    write_model(sys.argv[1])
    serve(sys.argv[1])
