"""Roles of columns: what is no feature, what they must hold, and that they are part of the content."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.core.dataset_roles import DatasetRoles
from services.core.errors import InvalidRequest
from services.store.app import UseCases
from tests.integration.store.scenario import TENANT
from tests.integration.store.uploading import store_file, table_of

VISITS = (
    b"age,site,day,w,part,ill\n"
    b"41,north,2024-03-01,1.5,0,yes\n"
    b"52,south,2024-01-01,0,1,no\n"
    b"63,north,2024-02-01,2,-1,yes\n"
    b"37,south,2024-04-01,1,1,no\n"
)


ROLES = DatasetRoles(
    group_column="site",
    time_column="day",
    weight_column="w",
    fold_column="part",
    positive_label="yes",
)


async def test_columns_with_a_role_are_no_features(cases: UseCases, tmp_path: Path) -> None:
    stored = await store_file(cases, tmp_path, VISITS, target_column="ill", roles=ROLES)
    dataset = await cases.datasets.dataset(stored.dataset_id, tenant=TENANT)
    summary = dataset.summary
    assert [each.name for each in summary.columns] == ["age"]
    assert summary.roles == ROLES
    assert (summary.group_count, summary.fold_count) == (2, 2)
    # By day: no, yes, yes, no.
    assert summary.classes == (("no", 2), ("yes", 2))
    assert summary.class_spans == ((0, 3), (1, 2))
    table = await table_of(cases, dataset.dataset_id)
    # Behind the target: a worker that knows no roles refuses such a file.
    assert table.schema.names == ["age", "ill", "site", "day", "w", "part"]
    assert table.column("w").to_pylist() == [1.5, 0.0, 2.0, 1.0]
    days = table.column("day").to_pylist()
    assert sorted(range(4), key=lambda row: days[row]) == [1, 2, 0, 3]


async def test_hours_of_a_day_are_times(cases: UseCases, tmp_path: Path) -> None:
    stored = await store_file(
        cases,
        tmp_path,
        b"a,at,label\n1,12:30:00,x\n2,00:15:00,y\n3,09:00:00,x\n",
        roles=DatasetRoles(time_column="at"),
    )
    table = await table_of(cases, stored.dataset_id)
    assert table.column("at").to_pylist() == [45_000, 900, 32_400]


async def test_roles_are_part_of_the_content(cases: UseCases, tmp_path: Path) -> None:
    plain = await store_file(cases, tmp_path, VISITS, target_column="ill")
    some = await store_file(
        cases, tmp_path, VISITS, target_column="ill", roles=DatasetRoles(positive_label="no")
    )
    assert plain.summary.content_hash != some.summary.content_hash
    assert [each.name for each in plain.summary.columns] == ["age", "site", "day", "w", "part"]


async def test_everything_wrong_with_roles_is_listed_at_once(
    cases: UseCases, tmp_path: Path
) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        await store_file(
            cases,
            tmp_path,
            VISITS,
            target_column="ill",
            roles=DatasetRoles(
                group_column="ill",
                time_column="site",
                weight_column="nowhere",
                fold_column="w",
                positive_label="maybe",
            ),
        )
    found = {each.field: each.description for each in refusal.value.violations}
    assert set(found) == {
        "header.roles.group_column",
        "header.roles.time_column",
        "header.roles.weight_column",
        "header.roles.fold_column",
        "header.roles.positive_label",
    }
    assert "the target already" in found["header.roles.group_column"]
    assert "neither a number nor a date" in found["header.roles.time_column"]
    assert "no column 'nowhere'" in found["header.roles.weight_column"]
    assert "whole number" in found["header.roles.fold_column"]
    assert '"no" and "yes"' in found["header.roles.positive_label"]


@pytest.mark.parametrize(
    ("role", "values", "problem"),
    [
        ("weight_column", "1 -2 3 -1", "negative in 2 of 4 rows"),
        ("weight_column", "0 0 0 0", "0 in every row"),
        ("weight_column", "1 NaN 1 1", "missing in 1 of 4 rows"),
        ("weight_column", "1 inf 1 1", "infinite"),
        ("weight_column", "a b c d", "not a number"),
        ("fold_column", "1 1 1 1", "one value only"),
        ("fold_column", "0 1 -2 1", "holds -2"),
        ("fold_column", "0 0.5 1 1", "no whole number"),
        ("group_column", "a a a a", "one value only"),
        ("group_column", "a NaN b b", "missing in 1 of 4 rows"),
        ("time_column", "01/02/2024 02/02/2024 03/02/2024 04/02/2024", "2024-05-31"),
    ],
)
async def test_a_column_that_cannot_have_its_role_is_refused(
    cases: UseCases, tmp_path: Path, role: str, values: str, problem: str
) -> None:
    lines = [f"{place},{each},{place % 2}" for place, each in enumerate(values.split())]
    content = "\n".join(["x,extra,y", *lines]).encode()
    with pytest.raises(InvalidRequest, match=role) as refusal:
        await store_file(
            cases, tmp_path, content, target_column="y", roles=DatasetRoles(**{role: "extra"})
        )
    [violation] = refusal.value.violations
    assert problem in violation.description


async def test_roles_must_leave_a_feature(cases: UseCases, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="no column is left as a feature"):
        await store_file(
            cases,
            tmp_path,
            b"g,y\na,0\nb,1\n",
            target_column="y",
            roles=DatasetRoles(group_column="g"),
        )
