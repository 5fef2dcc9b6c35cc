"""Small problems of learning and fitting."""

from __future__ import annotations

import numpy as np

from benchmarks.suite.program import Arguments, Array, Generator, Program

GROUP = "learning"
D, K, N = 10, 25, 1000
LOWER = np.tril(np.ones((D, D)), -1)
COUNT = D * (D + 1) // 2
POSITIONS = np.zeros((D, D), dtype=np.int64)  # column by column, as ADBench stores them
POSITIONS.T[np.triu_indices(D, 1)] = np.arange(D, COUNT)


def logistic_regression(w: Array, b: Array, x: Array, y: Array) -> Array:
    """Return the mean cross-entropy of labels 0 and 1, and a penalty."""
    z = x @ w + b
    losses = np.maximum(z, 0.0) + np.log1p(np.exp(-np.abs(z))) - y * z
    return np.mean(losses) + 0.5e-3 * np.sum(w**2)


def gaussian_mixture(alphas: Array, means: Array, icf: Array, x: Array) -> Array:
    """Return the log-likelihood of a mixture of Gaussians with a Wishart prior.

    The formula is ADBench's (Srajer et al. 2018): a row of `icf` holds the logarithms of the
    diagonal of an inverse covariance factor and the elements below it.
    """
    diagonal = np.exp(icf[:, :D])
    logs = np.sum(icf[:, :D], axis=1)
    lower = icf[:, POSITIONS] * LOWER
    centred = x - means[:, None, :]
    scaled = diagonal[:, None, :] * centred + centred @ np.swapaxes(lower, 1, 2)
    main = (alphas + logs)[:, None] - 0.5 * np.sum(scaled**2, axis=2)
    top = np.max(main, axis=0)
    likelihood = np.sum(np.log(np.sum(np.exp(main - top), axis=0)) + top)
    highest = np.max(alphas)
    normal = np.log(np.sum(np.exp(alphas - highest))) + highest
    prior = 0.5 * (np.sum(diagonal**2) + np.sum(icf[:, D:] ** 2)) - np.sum(logs)
    return likelihood - N * normal + prior


def diagonal_mixture(alphas: Array, means: Array, logs: Array, x: Array) -> Array:
    """Return the log-likelihood of a mixture of Gaussians with diagonal covariances."""
    scaled = (x[:, None, :] - means) * np.exp(logs)
    main = -0.5 * np.sum(scaled * scaled, axis=2) + alphas + np.sum(logs, axis=1)
    top = np.max(main, axis=1, keepdims=True)
    return np.sum(np.log(np.sum(np.exp(main - top), axis=1)) + top[:, 0])


def k_means(centres: Array, x: Array) -> Array:
    """Return the sum of the squared distances to the nearest centre."""
    distances = np.sum((x[:, None, :] - centres) ** 2, axis=2)
    return np.sum(np.min(distances, axis=1))


def gaussian_process(logs: Array, x: Array, y: Array) -> Array:
    """Return the negative log-likelihood by the logarithms of scales, amplitude and noise."""
    z = x / np.exp(logs[:5])
    squares = np.sum(z**2, axis=1)
    distances = squares[:, None] + squares[None, :] - 2.0 * (z @ z.T)
    kernel = np.exp(2 * logs[5]) * np.exp(-0.5 * distances)
    covariance = kernel + np.exp(2 * logs[6]) * np.eye(200)
    lower = np.linalg.cholesky(covariance)
    return 0.5 * (y @ np.linalg.solve(covariance, y)) + np.sum(np.log(np.diag(lower)))


def predator_prey(state: Array, rates: Array) -> Array:
    """Return the right side of Lotka and Volterra's equations."""
    prey, predators = state[0], state[1]
    growth = rates[0] * prey - rates[1] * prey * predators
    return np.stack([growth, rates[2] * prey * predators - rates[3] * predators])


def ode_fit(rates: Array, start: Array, data: Array) -> Array:
    """Return the misfit of a trajectory by Runge and Kutta's method."""
    h, state = 0.01, start
    misfit = 0.0
    for i in range(len(data)):
        k1 = predator_prey(state, rates)
        k2 = predator_prey(state + 0.5 * h * k1, rates)
        k3 = predator_prey(state + 0.5 * h * k2, rates)
        k4 = predator_prey(state + h * k3, rates)
        state = state + h / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4)
        misfit = misfit + np.sum((state - data[i]) ** 2)
    return misfit


def samples(random: Generator) -> Arguments:
    """Draw 10,000 samples of 20 features."""
    x = random.normal(size=(10_000, 20))
    y = (random.uniform(size=10_000) < 0.5).astype(np.float64)
    return random.normal(size=20) * 0.1, np.asarray(0.1), x, y


def mixture(random: Generator) -> Arguments:
    """Draw a mixture of 25 Gaussians in 10 dimensions, and 1000 points."""
    icf = random.normal(size=(K, COUNT)) * 0.1
    return random.normal(size=K), random.normal(size=(K, D)), icf, random.normal(size=(N, D))


def diagonal(random: Generator) -> Arguments:
    """Draw a mixture of 25 Gaussians in 10 dimensions, and 1000 points."""
    logs = random.normal(size=(K, D)) * 0.1
    return random.normal(size=K), random.normal(size=(K, D)), logs, random.normal(size=(N, D))


def clusters(random: Generator) -> Arguments:
    """Draw 25 centres and 2000 points in 10 dimensions."""
    return random.normal(size=(K, D)), random.normal(size=(2000, D))


def observations(random: Generator) -> Arguments:
    """Draw 200 observations at points in 5 dimensions."""
    logs = np.array([0.1, 0.2, -0.1, 0.3, 0.0, 0.2, -1.0])
    return logs, random.normal(size=(200, 5)), random.normal(size=200)


def populations(random: Generator) -> Arguments:
    """Draw 1000 observations of two populations."""
    rates = np.array([1.1, 0.4, 0.1, 0.4])
    return rates, np.array([10.0, 5.0]), random.uniform(1, 10, size=(1000, 2))


PROGRAMS = (
    Program("logistic regression", GROUP, logistic_regression, samples, (0, 1)),
    Program("Gaussian mixture", GROUP, gaussian_mixture, mixture, (0, 1, 2)),
    Program("diagonal mixture", GROUP, diagonal_mixture, diagonal, (0, 1, 2)),
    Program("k-means", GROUP, k_means, clusters),
    Program("Gaussian process 200", GROUP, gaussian_process, observations),
    Program("ODE fit, 1000 steps", GROUP, ode_fit, populations, (0, 1)),
)
