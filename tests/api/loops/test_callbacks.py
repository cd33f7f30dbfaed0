"""Callbacks in real loops of transformers and of Lightning, on the CPU."""

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from hwbench.api.loops.callbacks import lightning_callback, trainer_callback  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # of the packages themselves


class Net(torch.nn.Module):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.up, self.down = torch.nn.Linear(8, 16), torch.nn.Linear(16, 2)

    def forward(self, x: Any, labels: Any = None) -> dict[str, Any]:
        logits = self.down(torch.relu(self.up(x)))
        return {"loss": torch.nn.functional.cross_entropy(logits, labels), "logits": logits}


def flops(samples: int) -> int:
    """Return the FLOP of a step: the first layer has no gradient of its input."""
    return 2 * samples * (2 * 8 * 16 + 3 * 16 * 2)


def test_a_trainer_of_transformers_logs_what_its_steps_reach(tmp_path: Any) -> None:
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("accelerate")
    data = [{"x": torch.randn(8), "labels": torch.tensor(n % 2)} for n in range(44)]
    arguments = transformers.TrainingArguments(
        str(tmp_path), per_device_train_batch_size=2, gradient_accumulation_steps=2, num_train_epochs=2,
        logging_steps=5, report_to=[], save_strategy="no", use_cpu=True, disable_tqdm=True,
    )  # fmt: skip
    callback = trainer_callback()
    trainer = transformers.Trainer(Net(), arguments, train_dataset=data, callbacks=[callback])
    trainer.train()
    answer = callback.meter.utilization()
    assert answer.model_flops == flops(4)
    assert answer.steps + answer.left_out == 22 - 1  # the first is counted
    logged = [row for row in trainer.state.log_history if "mfu" in row]
    assert logged
    assert 0 < logged[-1]["mfu"] < 1
    assert logged[-1]["samples_per_s"] == pytest.approx(4 * logged[-1]["flops_per_second"] / flops(4))


def test_a_trainer_that_compiles_is_metered_too(tmp_path: Any) -> None:
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("accelerate")
    arguments = transformers.TrainingArguments(
        str(tmp_path), per_device_train_batch_size=2, max_steps=9, report_to=[], save_strategy="no", use_cpu=True,
        disable_tqdm=True, torch_compile=True, torch_compile_backend="eager",
    )  # fmt: skip
    data = [{"x": torch.randn(8), "labels": torch.tensor(n % 2)} for n in range(44)]
    callback = trainer_callback()
    transformers.Trainer(Net(), arguments, train_dataset=data, callbacks=[callback]).train()
    assert callback.meter.utilization().model_flops == flops(2)


def test_a_trainer_of_lightning_logs_what_its_batches_reach(tmp_path: Any) -> None:
    lightning = pytest.importorskip("pytorch_lightning")

    class Module(lightning.LightningModule):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.net = Net()

        def training_step(self, batch: Any, _: int) -> Any:
            return self.net(*batch)["loss"]

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), 0.1)

    data = torch.utils.data.TensorDataset(torch.randn(62, 8), torch.arange(62) % 2)
    callback = lightning_callback(device="rtx3090")
    trainer = lightning.Trainer(
        default_root_dir=tmp_path, max_epochs=2, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, callbacks=[callback],
    )  # fmt: skip
    trainer.fit(Module(), torch.utils.data.DataLoader(data, batch_size=4))
    answer = callback.meter.utilization()
    assert {work.model_flops for work in callback.meter.counted.values()} == {flops(4), flops(2)}
    assert answer.model_flops == flops(4)
    assert 0 < float(trainer.callback_metrics["mfu"]) < 1
