"""The arms that take plain steps of Adam on a loss, without gate, guard or proof."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .. import objectives
from ..engines.adapter import State
from ..engines.rendering import Prompt
from ..teacher import render_call, trailing_block
from . import losses
from .arms import Arm, Rule
from .oracle import judge
from .pupils import Denial, Effort, Pupil
from .world import TOOL_SCHEMAS, World

MOST_STEPS = 8
BETAS, EPSILON = (0.9, 0.95), 1e-8
CLIP = 1.0
KEEP_BASE = 0.1
DPO_BETA = 0.1
GROUP = 8
ON_POLICY_TEMPERATURE = 1.0

# The divergence's alpha: 0 is the forward KL, 1 the reverse KL.
DIVERGENCES: dict[Rule, float] = {
    "sdpo-reverse": 1.0,
    "sdpo-jsd": 0.5,
    "sdpo-forward": 0.0,
    "sdft": 0.0,
}


@dataclass
class Matter:
    """One correction in tokens; ``before`` are the weights that teach."""

    denial: Denial
    prompt: Prompt
    teacher: Prompt
    right: tuple[int, ...]
    denied: tuple[int, ...]
    before: State
    sampled: int = 0
    decision: tuple[int, int] | None = None


class AdamPupil(Pupil):
    """Learns by Adam; its optimiser goes on from one correction to the next."""

    def __init__(self, world: World, arm: Arm, rate: float) -> None:
        super().__init__(world)
        self.rule: Rule = arm.rule
        self.rate = rate
        self.policy = world.policy
        self.start()

    def start(self) -> None:
        """Forget every correction, the optimiser's moments too."""
        super().start()
        self.optimiser = torch.optim.Adam(
            self.policy.adapter.parameters, lr=self.rate, betas=BETAS, eps=EPSILON
        )

    def correct(self, denial: Denial) -> Effort:
        """Step until the student does what it should, at most eight times."""
        matter = self._matter(denial)
        steps = 0
        most = 1 if self.rule == "sdpo-sampled" else MOST_STEPS
        for number in range(most):
            loss = self._loss(matter, number)
            if loss is not None:
                self._step(loss)
                steps += 1
            if number + 1 < most and self._follows(matter):
                break
        return Effort(steps, matter.sampled)

    def _step(self, loss: Tensor) -> None:
        self.optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.policy.adapter.parameters, CLIP)
        self.optimiser.step()
        self.policy.weights_changed()

    # --- what is learned from ---------------------------------------------------------

    def _matter(self, denial: Denial) -> Matter:
        """The prompts and the answers of a correction, and what the teacher decides otherwise."""
        request = denial.request
        assert request.right is not None
        shown = trailing_block(solution=request.right)
        block = shown if self.rule == "sdft" else trailing_block(correction=request.correction)
        renderer = self.policy.renderer
        matter = Matter(
            denial=denial,
            prompt=self.world.prompt(request.messages),
            teacher=renderer.teacher_prompt(request.messages, TOOL_SCHEMAS, block),
            right=self.world.tokens(render_call(request.right)),
            denied=denial.completion.tokens,
            before=self.policy.adapter.state(),
        )
        if self.rule in DIVERGENCES:
            teacher = self._teach(matter, matter.denied)
            tokens = torch.tensor(matter.denied, device=teacher.device)
            away = (teacher.argmax(-1) != tokens).nonzero()[:, 0]
            if len(away):
                at = int(away[0])
                matter.decision = at, int(teacher[at].argmax())
        return matter

    def _teach(self, matter: Matter, tokens: Sequence[int]) -> Tensor:
        """What the weights from before the correction say with it in view."""
        with self.policy.holding(matter.before):
            return self.world.score(matter.teacher, tokens)

    def _follows(self, matter: Matter) -> bool:
        """Whether the first decision, or the whole right call, is the student's first choice."""
        if self.rule in DIVERGENCES:
            if matter.decision is None:
                return True
            at, token = matter.decision
            now = self.world.score(matter.prompt, matter.denied[: at + 1])
            return int(now[at].argmax()) == token
        now = self.world.score(matter.prompt, matter.right)
        return now.argmax(-1).tolist() == list(matter.right)

    # --- losses -----------------------------------------------------------------------

    def _student(self, matter: Matter, tokens: Sequence[int]) -> Tensor:
        return self.policy.score_with_gradient(matter.prompt, tokens)

    def _loss(self, matter: Matter, number: int) -> Tensor | None:
        """The loss of a step; None where there is nothing to learn from."""
        if self.rule in ("sft", "sft-kl"):
            return self._imitation(matter)
        if self.rule == "dpo":
            return self._preference(matter)
        if self.rule == "grpo":
            return self._group(matter, number)
        if self.rule == "sdpo-sampled":
            return self._sampled(matter)
        return self._distillation(matter, number)

    def _imitation(self, matter: Matter) -> Tensor:
        student = self._student(matter, matter.right)
        loss = -losses.chosen(student, matter.right).mean()
        if self.rule == "sft-kl":
            base = self.world.score(matter.prompt, matter.right, adapter=False)
            loss = loss + KEEP_BASE * objectives.forward_kl(student, base).mean()
        return loss

    def _preference(self, matter: Matter) -> Tensor:
        sums: list[Tensor] = []
        for tokens in (matter.right, matter.denied):
            base = self.world.score(matter.prompt, tokens, adapter=False)
            sums += [
                losses.chosen(self._student(matter, tokens), tokens).sum(),
                losses.chosen(base, tokens).sum(),
            ]
        right, right_base, denied, denied_base = sums
        return losses.dpo(right, denied, right_base, denied_base, DPO_BETA)

    def _group(self, matter: Matter, number: int) -> Tensor | None:
        """Samples that are all right, or all wrong, teach nothing."""
        request = matter.denial.request
        drawn = self.world.sample(request.messages, GROUP, ON_POLICY_TEMPERATURE, number)
        matter.sampled += sum(len(tokens) for tokens, _ in drawn)
        texts = [self.world.text(tokens) for tokens, _ in drawn]
        rewards = [float(judge(request, text) == "wanted") for text in texts]
        advantages = losses.group_advantages(rewards)
        if not any(advantages):
            return None
        parts: list[Tensor] = []
        for (tokens, logprobs), advantage in zip(drawn, advantages, strict=True):
            now = losses.chosen(self._student(matter, tokens), tokens)
            parts.append(losses.grpo(now, now.new_tensor(logprobs), advantage))
        return torch.stack(parts).mean()

    def _sampled(self, matter: Matter) -> Tensor:
        teacher = losses.chosen(self._teach(matter, matter.denied), matter.denied)
        now = losses.chosen(self._student(matter, matter.denied), matter.denied)
        return losses.sampled_token(now, now.detach(), teacher)

    def _distillation(self, matter: Matter, number: int) -> Tensor:
        """On the denied answer first, and then on a new sample at every step."""
        tokens = matter.denied
        if number:
            messages = matter.denial.request.messages
            ((tokens, _),) = self.world.sample(messages, 1, ON_POLICY_TEMPERATURE, number)
            matter.sampled += len(tokens)
        teacher = self._teach(matter, tokens)
        student = self._student(matter, tokens)
        return objectives.divergence(student, teacher, DIVERGENCES[self.rule]).mean()
