r"""How a gradient travels back through a recurrent layer: Jacobians, spectra, gradient norms, initial matrices, clipping.

In a layer :math:`h_n = \sigma(z_n),\; z_n = V_x x_n + V_h h_{n-1} + c`, the loss :math:`\ell_N` at step N reaches an early
state through a product of one Jacobian per step (Pascanu et al. 2013, section 2):

.. math:: \frac{\partial \ell_N}{\partial h_n} = \frac{\partial \ell_N}{\partial h_N} J_N J_{N-1} \cdots J_{n+1},
          \qquad J_n = \frac{\partial h_n}{\partial h_{n-1}} = \mathrm{diag}(\sigma'(z_n))\, V_h .

Gradients are rows here, so they are multiplied from the right. :math:`V_h` is the parameter ``weight_hh_l0`` of a layer.
"""

from lmcore.gradients.clipping import clip_by_global_norm, global_norm
from lmcore.gradients.jacobians import backpropagate, jacobian_product, jacobian_products, slope, step_jacobian
from lmcore.gradients.spectra import (
    henrici,
    initial,
    power_norms,
    singular_values,
    spectral_norm,
    spectral_radius,
    with_spectral_radius,
)
from lmcore.gradients.states import State, gradient_norms, state_gradients, state_jacobians, unroll

__all__ = [
    "State",
    "backpropagate",
    "clip_by_global_norm",
    "global_norm",
    "gradient_norms",
    "henrici",
    "initial",
    "jacobian_product",
    "jacobian_products",
    "power_norms",
    "singular_values",
    "slope",
    "spectral_norm",
    "spectral_radius",
    "state_gradients",
    "state_jacobians",
    "step_jacobian",
    "unroll",
    "with_spectral_radius",
]
