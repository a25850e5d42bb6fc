"""Between the wire's protobuf and tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from tinker.proto import tinker_public_pb2 as pb
from torch import Tensor

from .hosted import Datum

KINDS = {
    pb.DTYPE_FLOAT32: np.dtype(np.float32),
    pb.DTYPE_INT64: np.dtype(np.int64),
    pb.DTYPE_INT32: np.dtype(np.int32),
}


def read_tensor(message: pb.Tensor) -> Tensor:
    """A dense tensor, whichever way it was written."""
    kind = KINDS[message.dtype]
    shape = list(message.shape)
    if not message.HasField("sparse_csr"):
        flat = np.frombuffer(message.dense, dtype=kind).copy()
        return torch.from_numpy(flat.reshape(shape or flat.shape))
    parts = message.sparse_csr
    rows, columns = (
        np.frombuffer(part, dtype=np.int64) for part in (parts.crow_indices, parts.col_indices)
    )
    dense = np.zeros(shape, dtype=kind)
    values = np.frombuffer(parts.values, dtype=kind)
    for row in range(shape[0]):
        here = slice(rows[row], rows[row + 1])
        dense[row, columns[here]] = values[here]
    return torch.from_numpy(dense)


def read_datum(message: pb.Datum) -> Datum:
    """One training example."""
    tokens: list[int] = []
    for chunk in message.model_input:
        tokens += np.frombuffer(chunk.encoded_text.tokens, dtype=np.int32).tolist()
    return Datum(tokens, {name: read_tensor(t) for name, t in message.loss_fn_inputs.items()})


def forward_backward_output(outputs: Sequence[Tensor], metrics: Mapping[str, float]) -> bytes:
    """The answer to a forward and backward pass."""
    message = pb.ForwardBackwardOutput(loss_fn_output_type="ArrayRecord")
    for output in outputs:
        record = message.loss_fn_outputs.add(type_tag="ArrayRecord", num_datums=1)
        data = output.numpy().astype(np.float32).tobytes()
        field = record.fields["logprobs"]
        field.data, field.dtype = data, pb.DTYPE_FLOAT32
        field.offsets = np.array([0, len(data)], dtype=np.int64).tobytes()
        field.trailing_shape.extend(output.shape[1:])
    for name, value in metrics.items():
        message.metrics[name] = value
    return message.SerializeToString()


def topk(rows: Tensor, k: int, *, first_is_unknown: bool = True) -> pb.TopkLogprobs:
    """The likeliest tokens of each position; the first position of a prompt has none."""
    values, ids = rows.topk(k, dim=-1)
    if first_is_unknown:
        ids = torch.cat([torch.zeros(1, k, dtype=ids.dtype), ids])
        values = torch.cat([torch.full((1, k), -99999.0), values])
    return pb.TopkLogprobs(
        token_ids=ids.numpy().astype(np.int32).tobytes(),
        logprobs=values.numpy().astype(np.float32).tobytes(),
        k=k,
        length=len(ids),
    )


def floats(values: Sequence[float]) -> bytes:
    """Numbers as 32-bit floats."""
    return np.array(values, dtype=np.float32).tobytes()


def ints(values: Sequence[int]) -> bytes:
    """Tokens as 32-bit integers."""
    return np.array(values, dtype=np.int32).tobytes()
