#!/usr/bin/env python3
"""tests/golden/privacy.txt: epsilon of the sampled Gaussian by opacus (RDP, PRV), prv_accountant and dp_accounting (RDP, PLD).

  pip install opacus==1.4.0 prv-accountant==0.2.0 dp-accounting==0.4.4      (torch 1.13, numpy 1.24, scipy 1.11)

One line each: kind, sampling rate, noise multiplier, steps, delta, epsilon.  Kinds:
  step  Renyi divergence of one step; delta holds the order        rdp   epsilon of the orders of src/train/rdp.h
  prv   opacus' upper bound for an error of epsilon of 0.01         true  a lower and an upper bound, by PLDs rounded down and up
"""
import sys, warnings
warnings.filterwarnings("ignore")
from opacus.accountants import PRVAccountant
from opacus.accountants.analysis.rdp import compute_rdp, get_privacy_spent
from dp_accounting import dp_event
from dp_accounting.rdp import RdpAccountant
from dp_accounting.pld import privacy_loss_distribution as pld
from prv_accountant import PoissonSubsampledGaussianMechanism, PRVAccountant as Original

ORDERS = [1 + x / 10 for x in range(1, 100)] + list(range(12, 65)) + [128, 256, 512, 1024]
RUNS = [(0.04, 1.5, 2250, 1e-5), (0.04, 1.416, 2250, 1e-5), (0.04, 1.3562, 2000, 1e-5), (0.04, 1.34765625, 2250, 1e-5), (0.04, 1.2915, 2000, 1e-5),
        (1, 4.530877117, 1, 1e-6), (1, 20, 16, 1e-6), (0.001, 0.8, 1000, 1e-6), (1e-4, 0.5, 1000, 1e-6), (0.01, 1, 10000, 1e-6), (0.5, 2, 100, 1e-5),
        (0.9, 3, 20, 1e-5), (0.01, 4, 10, 1e-5), (0.256, 10, 3, 1e-7)]


def put(kind, q, s, n, d, *e):
    print(kind, repr(q), repr(s), n, repr(d), *(repr(float(x)) for x in e))


def rdp_by_both(q, s, n, d):
    """dp_accounting takes fractional orders by a bound, so that only the whole ones must be the same."""
    whole = [a for a in ORDERS if a == int(a)]
    a = get_privacy_spent(orders=whole, rdp=compute_rdp(q=q, noise_multiplier=s, steps=n, orders=whole), delta=d)[0]
    b = RdpAccountant(whole).compose(dp_event.PoissonSampledDpEvent(q, dp_event.GaussianDpEvent(s)), n).get_epsilon(d)
    assert abs(a - b) < 1e-8 * max(1, a), (a, b)
    return get_privacy_spent(orders=ORDERS, rdp=compute_rdp(q=q, noise_multiplier=s, steps=n, orders=ORDERS), delta=d)[0]


for q, s, n, d in RUNS:
    for alpha in (1.1, 2.0, 3.9, 5, 10.9, 32, 1024):
        put("step", q, s, 1, alpha, compute_rdp(q=q, noise_multiplier=s, steps=1, orders=[alpha])[0])
    put("rdp", q, s, n, d, rdp_by_both(q, s, n, d))
for q, s, n, d in RUNS + [(0.04, 1.5, 2249, 1e-5)]:
    if s in (1.416, 1.3562, 1.34765625):      # much the same as others
        continue
    if q < 1:
        a = PRVAccountant()
        a.history = [(s, q, n)]
        put("prv", q, s, n, d, a.get_epsilon(d, eps_error=0.01, delta_error=d / 1000))
        low, _, high = Original(prvs=PoissonSubsampledGaussianMechanism(q, s), max_self_compositions=n, eps_error=0.01, delta_error=d / 1000).compute_epsilon(d, n)
        assert abs(high - a.get_epsilon(d)) < 1e-3, (q, s, n, high)
    step = 1e-3 if n <= 100 else 1e-4
    bounds = [pld.from_gaussian_mechanism(s, sampling_prob=q, pessimistic_estimate=up, value_discretization_interval=step, use_connect_dots=up)
              .self_compose(n).get_epsilon_for_delta(d) for up in (False, True)]
    put("true", q, s, n, d, max(0, bounds[0]), bounds[1])
    sys.stdout.flush()
