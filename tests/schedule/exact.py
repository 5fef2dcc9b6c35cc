"""The exact optimum of rematerialization in small flows, by OR-tools' CP-SAT: an oracle for tests.

Retention intervals after Bartan et al., Moccasin: Efficient Tensor Rematerialization for Neural
Networks, 2023. Tasks run first in the order of the flow; before each first run, at its stage, any
earlier ones may run again in that order.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ortools.sat.python import cp_model

from adgraph.schedule.flow import Flow

UNITS = 1_000_000  # of cost that the first runs take together


@dataclass
class _Run:
    """One possible run of a task and the life of what it writes."""

    start: Any
    end: Any
    present: Any


@dataclass
class _Model:
    flow: Flow
    repeats: int
    model: Any = field(default_factory=cp_model.CpModel)
    runs: list[list[_Run]] = field(default_factory=list)

    def __post_init__(self) -> None:
        assert all(len(writes) == 1 for writes in self.flow.writes)
        count = len(self.flow.tasks)
        self.horizon = _time(count - 1, count - 1)
        self.runs = [self._runs(task, count) for task in range(count)]
        for task, operands in enumerate(self.flow.reads):
            for run in self.runs[task]:
                for v in operands:
                    self._supply(run, self.runs[self.flow.producers[v]])

    def _runs(self, task: int, count: int) -> list[_Run]:
        model = self.model
        first = _time(task, task)
        runs = [_Run(first, model.new_int_var(first, self.horizon, ""), True)]
        stages = [_time(stage, task) for stage in range(task + 1, count)]
        for _ in range(self.repeats if stages and self.flow.arrays.sizes[task] else 0):
            start = model.new_int_var_from_domain(cp_model.Domain.from_values(stages), "")
            run = _Run(start, model.new_int_var(0, self.horizon, ""), model.new_bool_var(""))
            model.add(run.end >= start)
            model.add(start > runs[-1].end).only_enforce_if(run.present)
            if len(runs) > 1:
                model.add_implication(run.present, runs[-1].present)
            runs.append(run)
        return runs

    def _supply(self, reader: _Run, sources: list[_Run]) -> None:
        """Let one run of the producer live when a reader runs."""
        model = self.model
        chosen = [model.new_bool_var("") for _ in sources]
        model.add(sum(chosen) == 1).only_enforce_if(reader.present)
        for source, is_chosen in zip(sources, chosen, strict=True):
            model.add(source.start < reader.start).only_enforce_if(is_chosen)
            model.add(source.end >= reader.start).only_enforce_if(is_chosen)
            if source.present is not True:
                model.add_implication(is_chosen, source.present)

    def keep(self, room: Any) -> None:
        """Bound the bytes that are live at once, outputs left out."""
        intervals, sizes = [], []
        for runs, size in zip(self.runs, self.flow.sizes, strict=True):
            for run in runs if size else []:
                length = self.model.new_int_var(1, self.horizon + 1, "")
                end = self.model.new_int_var(1, self.horizon + 1, "")
                self.model.add(end == run.end + 1)
                intervals.append(
                    self.model.new_optional_interval_var(run.start, length, end, run.present, "")
                )
                sizes.append(size)
        self.model.add_cumulative(intervals, sizes, room)

    def extra_cost(self) -> Any:
        total = sum(self.flow.seconds)
        costs = (max(1, round(UNITS * s / total)) for s in self.flow.seconds)
        pairs = zip(self.runs, costs, strict=True)
        return sum(cost * run.present for runs, cost in pairs for run in runs[1:])

    def solve(self, objective: Any, seconds: float) -> tuple[float, float]:
        """Return the least value found and the bound that is proved."""
        self.model.minimize(objective)
        solver = cp_model.CpSolver()
        solver.parameters.max_time_in_seconds = seconds
        solver.parameters.num_workers = 1
        solver.parameters.random_seed = 0
        status = solver.solve(self.model)
        assert status in (cp_model.OPTIMAL, cp_model.FEASIBLE), solver.status_name(status)
        return solver.objective_value, solver.best_objective_bound


def _time(stage: int, task: int) -> int:
    return stage * (stage + 1) // 2 + task


def least_cost(
    flow: Flow, budget: int, repeats: int = 2, seconds: float = 60.0
) -> tuple[float, float]:
    """Return the cost of an optimal order over that of the flow, and a bound that is proved."""
    model = _Model(flow, repeats)
    model.keep(budget - flow.output_bytes)
    cost, bound = model.solve(model.extra_cost(), seconds)
    return 1 + cost / UNITS, 1 + bound / UNITS


def least_bytes(flow: Flow, repeats: int = 2, seconds: float = 60.0) -> tuple[float, float]:
    """Return the least peak of any order, outputs included, and a bound that is proved."""
    model = _Model(flow, repeats)
    room = model.model.new_int_var(0, sum(flow.sizes), "")
    model.keep(room)
    value, bound = model.solve(room, seconds)
    return flow.output_bytes + value, flow.output_bytes + bound
