"""Small cases of every program: name, program, flags.

Each is run on 1, 2, 3 and 4 ranks by ``test_ranks_of_programs.py``: a new program adds its line.
Grids that do not divide evenly, every scheme, every kind of boundary, fields without symmetry.
"""

#: Each scheme at each boundary, each initial state at each of both.
HEAT = (
    ("explicit", "periodic", "smooth"),
    ("explicit", "dirichlet", "piecewise"),
    ("crank-nicolson", "periodic", "piecewise"),
    ("crank-nicolson", "dirichlet", "smooth"),
)

CASES = {
    f"heat-{scheme}-{boundary}-{initial}": (
        "heat",
        f"--shape 16 15 --steps 10 --every 5 --dt 0.02 --kappa 0.03 --seed 5 --scheme {scheme} "
        f"--boundary {boundary} --initial {initial}",
    )
    for scheme, boundary, initial in HEAT
}

CASES |= {
    "advection-diffusion": (
        "advection_diffusion",
        "--shape 17 22 --dt 0.01 --steps 8 --every 4 --initial smooth --modes 4",
    ),
    "advection-diffusion-rotation": (
        "advection_diffusion",
        "--shape 16 15 --dt 0.01 --steps 8 --every 4 --flow rotation --scheme ssp-rk3",
    ),
    "advection-diffusion-line": (
        "advection_diffusion",
        "--dimensions 1 --shape 3 31 --dt 0.01 --steps 8 --every 4 --kappa 0.002",
    ),
    "burgers-inviscid": (
        "burgers_inviscid",
        "--points 41 --dt 5e-3 --steps 20 --every 10 --mean 0.3 --seed 3",
    ),
    "burgers-inviscid-open": (
        "burgers_inviscid",
        "--points 37 --dt 0.01 --steps 20 --every 10 --initial riemann --boundary open --left 1.5",
    ),
    "burgers": ("burgers", "--shape 100 --nu 0.01 --dt 4e-3 --steps 10 --every 5 --modes 16"),
    "kuramoto-sivashinsky": (
        "kuramoto_sivashinsky",
        "--shape 90 --steps 20 --every 10 --seed 3",
    ),
    "korteweg-de-vries": (
        "korteweg_de_vries",
        "--shape 130 --initial smooth --steps 20 --every 10 --scheme etdrk2",
    ),
    "navier-stokes": (
        "navier_stokes",
        "--shape 36 40 --steps 10 --every 5 --modes 10 --drift 0.2",
    ),
    "navier-stokes-kolmogorov": (
        "navier_stokes",
        "--shape 33 40 --steps 10 --every 5 --modes 6 --forcing kolmogorov --scheme cn-heun",
    ),
    "korteweg-de-vries-cnoidal": (
        "korteweg_de_vries",
        "--shape 101 --initial cnoidal --mode 2 --steepness 0.99 --dt 5e-3 --steps 20 --every 10",
    ),
    "schroedinger": (
        "schroedinger",
        "--shape 90 --initial smooth --dt 0.02 --steps 20 --every 10 --seed 3",
    ),
    "schroedinger-soliton": (
        "schroedinger",
        "--shape 130 --dt 0.02 --steps 20 --every 10 --scheme etdrk2",
    ),
    "allen-cahn": ("allen_cahn", "--shape 40 33 --steps 10 --every 5 --modes 5 --seed 2"),
    "gray-scott": ("gray_scott", "--shape 40 33 --steps 10 --every 5 --spots 7 --width 0.1"),
    "darcy": ("darcy", "--shape 41 38 --steps 2 --tolerance 1e-13 --modes 24"),
    "darcy-rough": ("darcy", "--shape 36 43 --steps 2 --tolerance 1e-13 --coefficient rough"),
    "helmholtz": ("helmholtz", "--shape 41 46 --steps 2 --omega 300"),
    "forced-burgers": (
        "forced_burgers",
        "--points 43 --dt 0.05 --steps 10 --every 5 --seed 4",
    ),
    "forced-burgers-diffusive": (
        "forced_burgers",
        "--points 40 --dt 0.05 --steps 10 --every 5 --seed 4 --beta 0.1",
    ),
    "korteweg-de-vries-burgers": (
        "korteweg_de_vries_burgers",
        "--shape 64 --dt 0.02 --steps 10 --every 5 --seed 4",
    ),
    "shallow-water": (
        "shallow_water",
        "--shape 17 16 --dt 0.05 --steps 10 --every 5 --radius 0.9 --x0 0.3 --y0 -0.2",
    ),
    "shallow-water-walls": (
        "shallow_water",
        "--shape 16 17 --dt 0.05 --steps 10 --every 5 --initial smooth --boundary wall --seed 2",
    ),
    "shallow-water-periodic": (
        "shallow_water",
        "--shape 16 15 --dt 0.03 --steps 10 --every 5 --initial vortex --boundary periodic "
        "--wind 0.5 --radius 0.8",
    ),
    "wave": (
        "wave",
        "--shape 17 16 --dt 0.015 --steps 16 --every 8 --medium smooth --initial smooth --seed 3",
    ),
    "wave-held": (
        "wave",
        "--shape 16 17 --dt 0.015 --steps 16 --every 8 --medium layers --boundary dirichlet "
        "--x0 0.4 --width 0.1",
    ),
    "wave-rk4": (
        "wave",
        "--shape 17 15 --dt 0.015 --steps 16 --every 8 --medium smooth --boundary dirichlet "
        "--initial smooth --scheme rk4",
    ),
    "antiderivative": ("antiderivative", "--shape 23 --steps 70 --every 7 --seed 3"),
    "nonlinear-ode": ("nonlinear_ode", "--shape 23 --steps 70 --every 7 --mean -2.2 --seed 3"),
    "pendulum": ("pendulum", "--shape 23 --steps 6 --end 7 --k 3 --scheme heun --substeps 8"),
    "diffusion-reaction": (
        "diffusion_reaction",
        "--shape 9 22 --steps 5 --every 2 --k 0.5 --substeps 8",
    ),
    "lorenz": ("lorenz", "--shape 7 --steps 100 --every 50 --spinup 5"),
    "n-body": ("n_body", "--steps 60 --every 20 --seed 4"),
    "n-body-gravity": (
        "n_body",
        "--law gravity --bodies 23 --softening 0.1 --scheme symplectic-euler --steps 60 --every 20",
    ),
    "heat-mesh": (
        "heat_mesh",
        "--spacing 0.09 --contrast 1 --steps 8 --every 4 --hole_x 0.45 --seed 2",
    ),
    "xtb": ("xtb", "--molecules CH4,N2 --members 2 --warm_up 3 --stride 2 --steps 4 --every 2"),
    "heat-mesh-pieces": (
        "heat_mesh",
        "--spacing 0.09 --pieces 5 --contrast 1 --stretch 0.6 --mass lumped --initial random "
        "--steps 8 --every 4 --seed 3",
    ),
    "reaction-diffusion-mesh": (
        "reaction_diffusion_mesh",
        "--spacing 0.09 --steps 8 --every 4 --seed 2",
    ),
    "reaction-diffusion-mesh-waves": (
        "reaction_diffusion_mesh",
        "--spacing 0.09 --reaction allen-cahn --initial waves --scheme lie --steps 8 --every 4",
    ),
    "vector-heat": ("vector_heat", "--nodes 61 --steps 8 --every 4 --seed 2"),
    "cylinder": (
        "cylinder",
        "--spacing 0.2 --refinement 3 --steps 8 --every 4 --cylinder_y 0.18 --spinup 0.02 --seed 2",
    ),
    "transport-mesh": ("transport_mesh", "--spacing 0.09 --steps 8 --every 4 --seed 2"),
    "network-diffusion": (
        "network_diffusion",
        "--nodes 57 --radius 0.3 --steps 30 --every 15 --seed 3",
    ),
}

#: Relative difference of the fields, in the norm over all of them, from those of one rank.
TOLERANCE = 1e-12

#: Of programs that solve linear systems: their residual, times the condition that is left of them.
TOLERANCES = {"darcy": 1e-11, "helmholtz": 1e-11}

#: Of programs in which no number depends on how the points are shared out.
TOLERANCES |= dict.fromkeys(
    (
        *("antiderivative", "nonlinear_ode", "pendulum", "diffusion_reaction", "lorenz"),
        *("heat_mesh", "n_body", "network_diffusion", "reaction_diffusion_mesh"),
        *("cylinder", "transport_mesh", "vector_heat", "xtb"),
    ),
    0.0,
)
