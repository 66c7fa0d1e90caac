"""Programs on meshes beside plates of heat: reactions, vectors on surfaces, transport, anisotropy."""

import numpy as np
import pytest
from programs import load, made, march, started

from sciml.equations import reaction_diffusion
from sciml.errors import DivergedError, InputError
from sciml.parallel.connection import connection_laplacian, edge_angles
from sciml.solver.flags import parse


@pytest.mark.parametrize("reaction", ["fisher", "allen-cahn"])
def test_reactions_and_fronts_solve_their_equations(reaction):
    f = {"fisher": lambda u: u * (1 - u), "allen-cahn": lambda u: u * (1 - u * u)}[reaction]
    u, h = np.linspace(0.05, 1.4, 9), 1e-4
    slope = (
        reaction_diffusion.reacted(reaction, u, 0.3 + h)
        - reaction_diffusion.reacted(reaction, u, 0.3 - h)
    ) / (2 * h)
    np.testing.assert_allclose(slope, f(reaction_diffusion.reacted(reaction, u, 0.3)), atol=1e-7)
    x, diffusivity, rate = np.linspace(-1, 1, 9), 0.02, 3.0

    def wave(x, t):
        return reaction_diffusion.front(reaction, x, t, diffusivity, rate)

    t, h = 0.1, 1e-3
    u_t = (wave(x, t + h) - wave(x, t - h)) / (2 * h)
    u_xx = (wave(x + h, t) - 2 * wave(x, t) + wave(x - h, t)) / h**2
    np.testing.assert_allclose(u_t, diffusivity * u_xx + rate * f(wave(x, t)), atol=2e-3)


def test_without_reaction_mass_stays_and_bounds_hold():
    run = march("reaction_diffusion_mesh", reaction="none", steps=30, every=10, dt=0.2)
    u, mass = run.fields["u"], run.program.mass
    np.testing.assert_allclose(u @ mass, u[0] @ mass, rtol=1e-12)
    assert np.ptp(u[-1]) < 0.9 * np.ptp(u[0])
    sensor, seen = run.fields["sensor"][0], run.fields["seen"]
    assert set(sensor) == {0.0, 1.0} and sensor.sum() == round(0.1 * len(sensor))
    np.testing.assert_array_equal(seen, u * sensor)


def test_each_reaction_ends_where_it_is_stable():
    for reaction, initial, ends in (("fisher", "spots", [1]), ("allen-cahn", "waves", [-1, 1])):
        options = {"reaction": reaction, "initial": initial, "diffusivity": 1e-4, "steps": 400}
        u = march("reaction_diffusion_mesh", **options).fields["u"][-1]
        near = np.abs(u[:, None] - ends) < 0.1
        assert near.any(axis=1).mean() > 0.8 and near.any(axis=0).all(), reaction


def test_vectors_are_carried_alike_whatever_the_frames():
    """The Laplacian is Hermitian, and of frames that are turned it is the same operator."""
    run = started("vector_heat", nodes=80, bumps=0.3)
    points, cells = run.mesh.points, run.mesh.cells
    angles, turns = edge_angles(points, cells), np.random.default_rng(0).uniform(0, 6, 80)
    mass, still = connection_laplacian(points, cells, angles, np.zeros(80))
    _, moved = connection_laplacian(points, cells, angles, turns)
    assert abs(still - still.conj().T).max() < 1e-12 and (mass > 0).all()
    u = np.random.default_rng(1).normal(size=(2, 80)).T @ [1, 1j]
    np.testing.assert_allclose(
        moved @ (np.exp(-1j * turns) * u), np.exp(-1j * turns) * (still @ u), atol=1e-12
    )
    assert np.linalg.eigvalsh(still.toarray())[0] > 0.0  # no vector field of a sphere is parallel


def test_vectors_lie_in_their_planes_and_decay():
    run = march("vector_heat", nodes=80, bumps=0.3, steps=40, every=10)
    frame = run.fields["frame"][0].reshape(-1, 2, 3)
    np.testing.assert_allclose(
        frame @ frame.swapaxes(1, 2), np.eye(2)[None].repeat(80, 0), atol=1e-12
    )
    size = np.linalg.norm(run.fields["arrow"], axis=2)
    np.testing.assert_allclose(size, np.linalg.norm(run.fields["u"], axis=2), atol=1e-12)
    assert (np.diff(np.linalg.norm(size, axis=1)) < 0).all()


def test_transport_keeps_mass_and_bounds():
    run = march("transport_mesh", steps=100, every=20)
    u, volume = run.fields["u"], run.program.volume
    np.testing.assert_allclose(u @ volume, u[0] @ volume, rtol=1e-12)
    assert u.min() >= u[0].min() - 1e-12 and u.max() <= u[0].max() + 1e-12
    assert np.abs(u[-1] - u[0]).max() > 0.2
    np.testing.assert_allclose(run.program.matrix @ np.ones(len(volume)), 0.0, atol=1e-10)
    assert (run.program.matrix != run.program.matrix.T).nnz  # it has directions


def test_transport_turns_with_the_disc():
    run = made("transport_mesh", flow="rotation", speed=2.0)
    near = np.linalg.norm(run.mesh.points - 0.5, axis=1) < 0.4
    x, y = run.mesh.points[near].T - 0.5
    np.testing.assert_allclose(
        run.velocity(run.mesh.points)[near], 2 * np.stack([-y, x], 1), atol=1e-6
    )


def test_anisotropy_is_that_of_its_matrix():
    """K of a linear function is ∫ ∇u·κ∇u; pieces are constant, and jump."""
    run = started("heat_mesh", stretch=0.6, pieces=4, contrast=1.0, mass="lumped", seed=2)
    gradient = np.array([2.0, -3.0])
    u, (a, b) = run.mesh.points @ gradient, run.bent.T
    np.testing.assert_allclose(np.hypot(a, b), 0.6)
    assert len(np.unique(run.kappa)) == len(np.unique(a)) == 4
    corners = run.mesh.points[run.mesh.cells]
    area = 0.5 * np.abs(np.linalg.det(corners[:, 1:] - corners[:, :1]))
    tensor = run.kappa[:, None, None] * np.moveaxis(np.array([[1 + a, b], [b, 1 - a]]), 2, 0)
    wanted = (area * np.einsum("i,mij,j->m", gradient, tensor, gradient)).sum()
    assert u @ run.stiffness @ u == pytest.approx(wanted)
    assert run.mass.nnz == run.mesh.size and run.mass.sum() == pytest.approx(area.sum())


@pytest.mark.parametrize(
    ("program", "words", "message"),
    [
        (
            "transport_mesh",
            "--dt 1",
            "the stable limit of heun on this mesh; lower --dt or --speed",
        ),
        ("transport_mesh", "--flow still", "flow=still; expected one of gyres, rotation"),
        (
            "reaction_diffusion_mesh",
            "--reaction fischer",
            "expected one of fisher, allen-cahn, none",
        ),
        ("reaction_diffusion_mesh", "--sensors 2", "sensors=2 is out of range"),
        ("vector_heat", "--nodes 5", "nodes=5; expected 24 or more"),
    ],
)
def test_what_cannot_be_is_one_line(program, words, message):
    cls = load(program)
    with pytest.raises(InputError) as caught:
        cls(parse(cls, words.split()))
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_what_runs_away_does_not_come_back():
    """Behind the pole Fisher's exact flow is positive, and tends to 1 as if nothing had been."""
    u = reaction_diffusion.reacted("fisher", np.array([-0.5, 0.5]), np.log(3.0) + 0.1)
    assert u[0] == -np.inf and 0.5 < u[1] < 1.0
    with pytest.raises(InputError, match=r"from u=-.*, below 0, where it runs away; expected 0"):
        started("reaction_diffusion_mesh", reaction="fisher", initial="waves")
    run = started("reaction_diffusion_mesh", reaction="fisher", rate=100.0)
    run.u[0] = -1e-2
    with pytest.raises(DivergedError, match="not finite after step 1"):
        run.step(0)


def test_a_front_needs_a_reaction():
    with pytest.raises(InputError, match="a front of reaction=none, rate=1; expected fisher"):
        started("reaction_diffusion_mesh", reaction="none", initial="front")
