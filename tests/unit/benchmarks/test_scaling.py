"""The simulation against queueing theory, and what the layouts change."""

import math
from collections.abc import Mapping
from dataclasses import replace

import pytest

from benchmarks.scaling.cell import Coalescing
from benchmarks.scaling.costs import Costs
from benchmarks.scaling.layout import LAYOUTS, Layout, Shape, Tier, one_machine
from benchmarks.scaling.plan import doubled
from benchmarks.scaling.simulation import Load, Result, simulate

COSTS = Costs(
    decode_ms=(4.0,),
    infer_cpu_batch_ms=0.5,
    infer_cpu_image_ms=2.5,
    rank_ms=0.1,
    hop_message_ms=0.5,
    hop_mb_ms=1.0,
    gateway_request_ms=0.4,
    triton_message_ms=0.7,
    infer_gpu_batch_ms=0.6,
    infer_gpu_image_ms=0.06,
    decode_gpu_batch_ms=0.6,
    decode_gpu_image_ms=0.13,
    decode_gpu_host_ms=0.13,
    jpeg_kb=75.0,
    tensor_kb=150.0,
    logits_kb=4.0,
    answer_kb=1.0,
    node_cores=16,
    cpu_node_gbit=12.5,
    gpu_node_gbit=50.0,
    link_ms=0.05,
    zone_ms=0.4,
)
NOTHING = replace(
    COSTS,
    infer_cpu_batch_ms=0.0,
    infer_cpu_image_ms=0.0,
    rank_ms=0.0,
    hop_message_ms=0.0,
    hop_mb_ms=0.0,
    gateway_request_ms=0.0,
    triton_message_ms=0.0,
    link_ms=0.0,
    jpeg_kb=0.0,
    tensor_kb=0.0,
    logits_kb=0.0,
    answer_kb=0.0,
)
"""Only decoding takes time, so that a cell is one queue."""
ONE_BY_ONE = Coalescing(in_flight=10**9, images=1)


def one_queue(service_ms: tuple[float, ...], rate: float, cores: int = 1) -> Result:
    """Simulates a queue with Poisson arrivals in front of `cores` servers."""
    layout, tiers = one_machine(cores, together=True)
    costs = replace(NOTHING, decode_ms=service_ms)
    return simulate(layout, tiers, costs, Load(rate, seconds=40_000 / rate, warm_up_s=5), ONE_BY_ONE)


def exponential(mean_ms: float) -> tuple[float, ...]:
    """Returns equally likely times that follow an exponential distribution."""
    return tuple(-mean_ms * math.log(1 - (i + 0.5) / 2_000) for i in range(2_000))


def pollaczek_khinchine_ms(service_ms: tuple[float, ...], rate: float) -> float:
    """Returns the mean wait of M/G/1."""
    mean = sum(service_ms) / len(service_ms)
    square = sum(ms * ms for ms in service_ms) / len(service_ms)
    return rate / 1e3 * square / (2 * (1 - rate / 1e3 * mean))


def erlang_c_wait_ms(servers: int, service_ms: float, rate: float) -> float:
    """Returns the mean wait of M/M/c."""
    load = rate / 1e3 * service_ms
    last = load**servers / math.factorial(servers) * servers / (servers - load)
    waits = last / (sum(load**k / math.factorial(k) for k in range(servers)) + last)
    return waits * service_ms / (servers - load)


def cell(layout: Layout, **replicas: int) -> Mapping[str, Tier]:
    """Returns so many replicas, one on each node."""
    return {name: Tier(layout.shapes[name], count, count) for name, count in replicas.items()}


@pytest.mark.parametrize("rate", [50.0, 200.0])
def test_one_core_with_equal_images_waits_like_m_d_1(rate: float) -> None:
    """At 20 and 80% of one core, the mean wait is what the formula says, within 5%."""
    result = one_queue((4.0,), rate)
    assert pollaczek_khinchine_ms((4.0,), rate) == pytest.approx(result.mean_ms - 4.0, rel=0.05)


@pytest.mark.parametrize("rate", [50.0, 150.0])
def test_one_core_with_exponential_images_waits_like_m_m_1(rate: float) -> None:
    """At 20 and 60% of one core, the mean wait is what the formula says, within 5%."""
    times = exponential(4.0)
    service_ms = sum(times) / len(times)
    result = one_queue(times, rate)
    expected = rate / 1e3 * 4.0**2 / (1 - rate / 1e3 * 4.0)
    assert expected == pytest.approx(result.mean_ms - service_ms, rel=0.05)


def test_two_cores_wait_like_m_m_2() -> None:
    """At 70% of two cores, the mean wait is Erlang's, within 5%."""
    times = exponential(4.0)
    result = one_queue(times, 350.0, cores=2)
    assert erlang_c_wait_ms(2, 4.0, 350.0) == pytest.approx(result.mean_ms - sum(times) / len(times), rel=0.05)


@pytest.mark.parametrize(("rate", "cores"), [(100.0, 1), (400.0, 2)])
def test_cores_are_busy_for_rate_times_service_time(rate: float, cores: int) -> None:
    """Utilisation is rate x service time / cores, within 1%."""
    result = one_queue((4.0,), rate, cores)
    assert rate * 4.0e-3 / cores == pytest.approx(result.use["pod"].cores, rel=0.01)


def test_no_work_is_lost_or_done_twice() -> None:
    """At saturation all cores work, and the CPU of an image is the sum of its parts."""
    layout, tiers = one_machine(2, together=True)
    costs = replace(COSTS, infer_cpu_batch_ms=0.0, triton_message_ms=0.0)
    result = simulate(layout, tiers, costs, Load(clients=64, seconds=20))
    own_ms = 4.0 + 2.5 + 0.1 + 0.4 + (0.5 + 1.0 * 0.076) / 2
    assert 1.0 == pytest.approx(result.use["pod"].cores, abs=0.005)
    assert 2 / own_ms * 1e3 == pytest.approx(result.rate, rel=0.01)


def test_idle_latency_is_the_sum_of_the_steps() -> None:
    """A single client meets no queue: bytes on cards, links, CPU of hops and services, and nothing else."""
    layout = LAYOUTS["cpu-apart"]
    tiers = cell(layout, gateway=1, preprocess=1, inference=1, postprocess=1)
    result = simulate(layout, tiers, COSTS, Load(clients=1, seconds=2))
    work_ms = 4.0 + 0.7 + 0.5 + 2.5 + 0.1
    moved_kb = 225 + 154 + 5
    cpu_ms = 0.4 + (0.5 + 0.076) / 2 + 3 * 0.5 + moved_kb / 1e3
    wire_ms = (2 * moved_kb + 76) * 8 / 12.5e3
    assert work_ms + cpu_ms + wire_ms + 8 * 0.05 == pytest.approx(result.p50_ms, abs=1e-6)


def test_nothing_waits_for_company_when_idle_and_messages_fill_at_saturation() -> None:
    """One client's images travel alone; 64 clients' travel in messages of several, and throughput rises by that."""
    layout, tiers = one_machine(2, together=False)
    idle = simulate(layout, tiers, COSTS, Load(clients=1))
    full = simulate(layout, tiers, COSTS, Load(clients=64))
    alone = simulate(layout, tiers, COSTS, Load(clients=64), ONE_BY_ONE)
    assert {1.0} == set(idle.images_per_message.values())
    assert 4 < full.images_per_message["inference"] <= 8
    assert full.rate > 1.1 * alone.rate


def test_the_same_seed_gives_the_same_result_and_another_one_another() -> None:
    """Results can be repeated."""
    layout, tiers = one_machine(2, together=False)
    costs = replace(COSTS, decode_ms=(3.0, 5.0))
    first, again, other = (simulate(layout, tiers, costs, Load(100, seconds=2, seed=seed)) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_bursts_lengthen_the_tail_and_leave_the_rate() -> None:
    """Five images at a moment, on average, make the same rate and a longer p99."""
    smooth, bursty = (
        simulate(*one_machine(4, together=True), COSTS, Load(200, burst=burst, seconds=60)) for burst in (1, 5)
    )
    assert smooth.rate == pytest.approx(bursty.rate, rel=0.05)
    assert bursty.p99_ms > 1.5 * smooth.p99_ms


def test_apart_every_tensor_crosses_the_network_twice_and_co_located_never() -> None:
    """Bytes per image: all of the chain's through the gateway, or only the caller's."""
    apart, together = LAYOUTS["cpu-apart"], LAYOUTS["cpu-together"]
    tiers = cell(apart, gateway=1, preprocess=1, inference=1, postprocess=1)
    assert 76 + 225 + 154 + 5 == pytest.approx(simulate(apart, tiers, COSTS, Load(clients=1)).moved_kb, rel=0.01)
    assert 76 == pytest.approx(simulate(together, cell(together, pod=1), COSTS, Load(clients=1)).moved_kb, rel=0.01)


def test_two_thirds_of_the_bytes_between_services_cross_when_replicas_lie_in_three_zones() -> None:
    """Round robin knows no zones."""
    layout = LAYOUTS["cpu-apart"]
    tiers = cell(layout, gateway=3, preprocess=3, inference=3, postprocess=3)
    result = simulate(layout, tiers, COSTS, Load(300, seconds=20), Coalescing(zones=3))
    assert 2 / 3 * 384 == pytest.approx(result.crossed_kb, rel=0.05)


def test_a_narrow_card_becomes_the_wall() -> None:
    """At 1 Gbit/s, a gateway's card is busy for the 230 kB that each image brings it in one direction."""
    layout = LAYOUTS["cpu-apart"]
    tiers = cell(layout, gateway=1, preprocess=4, inference=4, postprocess=1)
    costs = replace(COSTS, cpu_node_gbit=1.0, hop_message_ms=0.1, hop_mb_ms=0.1)
    result = simulate(layout, tiers, costs, Load(400, seconds=20))
    wall, share = result.wall
    assert "gateway: network card" == wall
    assert 400 * 230 * 8 / 1e6 == pytest.approx(share, rel=0.03)


def test_a_gpu_counts_as_used_by_what_full_batches_could_do() -> None:
    """1000 images/s of which a full batch of 64 costs 4.44 ms are 7% of it, though small batches keep it busy."""
    layout = Layout("gpu", "", {"pod": Shape(16, loops=8, gpu=True)})
    result = simulate(layout, cell(layout, pod=1), COSTS, Load(1_000, seconds=10))
    assert (0.6 + 64 * 0.06) / 64 == pytest.approx(result.use["pod"].gpu, rel=0.03)


def test_a_cell_of_twice_the_size_takes_twice_the_rate_at_the_same_latency() -> None:
    """Cells can be multiplied: per image nothing gets dearer, and larger cells wait rather less."""
    layout = LAYOUTS["cpu-together"]
    tiers = dict(cell(layout, pod=2))
    one = simulate(layout, tiers, COSTS, Load(600, seconds=10))
    two = simulate(layout, doubled(tiers), COSTS, Load(1_200, seconds=10))
    assert one.use["pod"].cores == pytest.approx(two.use["pod"].cores, rel=0.02)
    assert one.p50_ms == pytest.approx(two.p50_ms, rel=0.05)
    assert two.p99_ms <= one.p99_ms * 1.05


@pytest.mark.parametrize(
    "load",
    [
        {},
        {"rate": 1.0, "clients": 1},
        {"rate": 1.0, "burst": 0.5},
        {"rate": 1.0, "seconds": 0.0},
        {"rate": 1.0, "warm_up_s": -1.0},
    ],
)
def test_what_is_no_load_is_refused(load: dict[str, float]) -> None:
    """A load needs exactly one of rate and clients, and times that make sense."""
    with pytest.raises(ValueError, match=r"must be|either"):
        Load(**load)  # type: ignore[arg-type]


def test_a_time_in_which_nothing_is_answered_is_an_error() -> None:
    """No quantiles are made of nothing."""
    with pytest.raises(ValueError, match="no image was answered"):
        simulate(*one_machine(1, together=True), COSTS, Load(1.0, seconds=0.001, warm_up_s=0))
