"""A thin door to a built llama.cpp (libllama.so), through ctypes.

Used when golden data is made: for token ids, and for the figures that Mortar's are printed
beside. The structs follow include/llama.h of the version below and of no other, so the version
is checked before anything is called.
"""

import ctypes as c
import os

import numpy as np

VERSION = "0.5.0"  # of the llama.cpp in llama-cpp-python 0.3.36
F32, F16 = 0, 1  # ggml_type
FLASH_AUTO, FLASH_OFF = -1, 0


class ModelParams(c.Structure):
    _fields_ = [("devices", c.c_void_p), ("tensor_buft_overrides", c.c_void_p),
                ("n_gpu_layers", c.c_int32), ("split_mode", c.c_int), ("load_mode", c.c_int),
                ("lazy_mode", c.c_int), ("main_gpu", c.c_int32), ("tensor_split", c.c_void_p),
                ("progress_callback", c.c_void_p), ("progress_user_data", c.c_void_p),
                ("kv_overrides", c.c_void_p)] + \
               [(name, c.c_bool) for name in ("vocab_only", "check_tensors", "use_extra_bufts",
                                              "no_host", "no_alloc", "load_mtp")]


class ContextParams(c.Structure):
    _fields_ = [(name, c.c_uint32) for name in ("n_ctx", "n_batch", "n_ubatch", "n_seq_max",
                                                "n_rs_seq", "n_outputs_max",
                                                "n_outputs_max_per_seq")] + \
               [("n_threads", c.c_int32), ("n_threads_batch", c.c_int32)] + \
               [(name, c.c_int) for name in ("ctx_type", "rope_scaling_type", "pooling_type",
                                             "attention_type", "flash_attn_type")] + \
               [(name, c.c_float) for name in ("rope_freq_base", "rope_freq_scale",
                                               "yarn_ext_factor", "yarn_attn_factor",
                                               "yarn_beta_fast", "yarn_beta_slow")] + \
               [("yarn_orig_ctx", c.c_uint32), ("defrag_thold", c.c_float),
                ("cb_eval", c.c_void_p), ("cb_eval_user_data", c.c_void_p),
                ("type_k", c.c_int), ("type_v", c.c_int),
                ("abort_callback", c.c_void_p), ("abort_callback_data", c.c_void_p)] + \
               [(name, c.c_bool) for name in ("embeddings", "offload_kqv", "no_perf",
                                              "op_offload", "swa_full", "kv_unified")] + \
               [("samplers", c.c_void_p), ("n_samplers", c.c_size_t), ("ctx_other", c.c_void_p)]


class Batch(c.Structure):
    _fields_ = [("n_tokens", c.c_int32), ("token", c.POINTER(c.c_int32)), ("embd", c.c_void_p),
                ("pos", c.POINTER(c.c_int32)), ("n_seq_id", c.POINTER(c.c_int32)),
                ("seq_id", c.POINTER(c.POINTER(c.c_int32))), ("logits", c.POINTER(c.c_int8))]


LogCallback = c.CFUNCTYPE(None, c.c_int, c.c_char_p, c.c_void_p)


class LlamaCpp:
    """One model. Raises RuntimeError where llama.cpp says no."""

    def __init__(self, bin_dir, model_path):
        lib = c.CDLL(os.path.join(bin_dir, "libllama.so"))
        self.lib = lib
        lib.llama_version.restype = c.c_char_p
        self.version = lib.llama_version().decode()
        if not self.version.startswith(VERSION):
            raise RuntimeError(f"llama.cpp {self.version}: these structs are those of {VERSION}")
        for name in ("llama_model_load_from_file", "llama_init_from_model",
                     "llama_model_get_vocab", "llama_get_memory"):
            getattr(lib, name).restype = c.c_void_p
        lib.llama_model_default_params.restype = ModelParams
        lib.llama_context_default_params.restype = ContextParams
        lib.llama_batch_init.restype = Batch
        lib.llama_get_logits.restype = c.POINTER(c.c_float)
        lib.llama_print_system_info.restype = c.c_char_p
        self.silence = LogCallback(lambda level, text, data: None)
        lib.llama_log_set(self.silence, None)
        lib.llama_backend_init()
        self.system_info = lib.llama_print_system_info().decode().strip()
        self.model = lib.llama_model_load_from_file(model_path.encode(),
                                                    lib.llama_model_default_params())
        if not self.model:
            raise RuntimeError(f"{model_path}: llama.cpp does not load it")
        self.vocab = c.c_void_p(lib.llama_model_get_vocab(c.c_void_p(self.model)))
        self.n_vocab = lib.llama_vocab_n_tokens(self.vocab)

    def tokenize(self, text):
        """Special tokens are read as such; none is added."""
        raw = text.encode()
        out = (c.c_int32 * (len(raw) + 8))()
        n = self.lib.llama_tokenize(self.vocab, raw, len(raw), out, len(out), False, True)
        if n < 0:
            raise RuntimeError("llama_tokenize failed")
        return list(out[:n])


class Context:
    """Teacher-forced logits of one sequence after another, with given settings."""

    def __init__(self, llama, n_ctx, flash, kv_type, n_threads):
        lib = self.lib = llama.lib
        self.n_vocab = llama.n_vocab
        params = lib.llama_context_default_params()
        if (params.n_batch, params.n_ubatch) != (2048, 512) or params.type_k != F16:
            raise RuntimeError("llama.cpp's defaults are not where these structs expect them")
        params.n_outputs_max_per_seq = 0  # as many as asked for
        params.n_ctx, params.flash_attn_type = n_ctx, flash
        params.type_k = params.type_v = kv_type
        params.n_threads = params.n_threads_batch = n_threads
        self.n_batch = params.n_batch
        self.context = c.c_void_p(lib.llama_init_from_model(c.c_void_p(llama.model), params))
        if not self.context:
            raise RuntimeError("llama_init_from_model failed")
        self.batch = lib.llama_batch_init(self.n_batch, 0, 1)

    def logits(self, tokens):
        """f32 [n, n_vocab] for all positions of one list."""
        self.lib.llama_memory_clear(c.c_void_p(self.lib.llama_get_memory(self.context)), True)
        parts = []
        for begin in range(0, len(tokens), self.n_batch):
            piece = tokens[begin:begin + self.n_batch]
            self.batch.n_tokens = len(piece)
            for i, token in enumerate(piece):
                self.batch.token[i] = int(token)
                self.batch.pos[i] = begin + i
                self.batch.n_seq_id[i] = 1
                self.batch.seq_id[i][0] = 0
                self.batch.logits[i] = 1
            if self.lib.llama_decode(self.context, self.batch) != 0:
                raise RuntimeError("llama_decode failed")
            out = self.lib.llama_get_logits(self.context)
            parts.append(np.ctypeslib.as_array(out, (len(piece), self.n_vocab)).copy())
        return np.concatenate(parts)

    def close(self):
        self.lib.llama_batch_free(self.batch)
        self.lib.llama_free(self.context)
