"""Small tokenizers of the kinds that models come with, trained on a few sentences."""

import json

import transformers as hf
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

CORPUS = [f"The {what} of {where} is a {kind}." for what in ("river", "bridge") for where in ("Arlen", "Brook")
          for kind in ("castle", "harbour")] * 3  # fmt: skip


def byte_level(**options):
    """Byte-level BPE, as GPT-2, Llama 3, Qwen."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=["<end>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(CORPUS, trainer)
    return hf.PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<end>", pad_token="<end>", **options)


def sentencepiece(*, byte_fallback=True):
    """A space before every text and a start token, as Llama 2, Mistral, Gemma."""
    special = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    core = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    core.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    core.pre_tokenizer = pre_tokenizers.Split(Regex("(?=▁)"), "isolated")
    trainer = trainers.BpeTrainer(vocab_size=330, special_tokens=special, show_progress=False)
    core.train_from_iterator(CORPUS, trainer)
    core.pre_tokenizer = None
    spaces = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    core.decoder = decoders.Sequence(spaces)
    core.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    if not byte_fallback:
        core = _without_bytes(core)
    return hf.PreTrainedTokenizerFast(
        tokenizer_object=core, bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="</s>"
    )


def _without_bytes(core):
    described = json.loads(core.to_str())
    words = [word for word in described["model"]["vocab"] if not word.startswith("<0x")]
    described["model"] |= {"byte_fallback": False, "vocab": {word: place for place, word in enumerate(words)}}
    described["added_tokens"] = [one for one in described["added_tokens"] if not one["content"].startswith("<0x")]
    return Tokenizer.from_str(json.dumps(described))


def bytes_only():
    """A tokenizer without a fast version: a token per byte, as ByT5."""
    return hf.ByT5Tokenizer()


KINDS = {
    "byte-level": byte_level,
    "SentencePiece": sentencepiece,
    "SentencePiece without bytes": lambda: sentencepiece(byte_fallback=False),
    "no fast version": bytes_only,
}
