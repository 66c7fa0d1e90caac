"""Whatever is killed, whenever: what a run leaves behind is whole, by the count of the checker."""

import pytest
from chaos import HELD_OUT, SAVING, Kill, Storm, table
from checker import Account
from storms import storms
from studies import STUDIES

SEEDS = {kind: 100 + number for number, kind in enumerate(STUDIES)}


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("kind", STUDIES)
def test_twenty_kills_lose_nothing(tmp_path, kind):
    done, counted = storms(tmp_path, 20, SEEDS[kind], [kind])
    told = "\n".join(table(done, counted))
    print(told)
    assert not [fault for storm in done for fault in storm.faults], told
    for account in counted:
        assert not account.faults, told
        assert account.with_outcome == account.planned
        assert account.lost == account.doubled == account.different == account.orphans == 0


def test_the_table_sums_up(tmp_path):
    kills = [Kill("trainer", "KILL", SAVING), Kill("node", "KILL", SAVING)]
    done = [Storm("fifo", 1, tmp_path, kills), Storm("fifo", 2, tmp_path, [], faults=["hangs"])]
    told = "\n".join(table(done, [Account(planned=3, expected=9), Account(planned=4, lost=1)]))
    assert "2 kills in 2 runs of 1 studies" in told
    assert f"{SAVING}: node 1, trainer 1" in told and f"{HELD_OUT}: none" in told
    assert "planned 7, with_outcome 7, expected 9" in told and "lost 1" in told
    assert "1 faults\n  hangs" in told
