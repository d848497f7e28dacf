# SPDX-License-Identifier: BSD-3-Clause
"""The optimizers: for each the options it reads, the state it keeps and the numbers of its next step; update.pyx does the step.

Every function takes an optimizer's `param_groups` and `state` as they are.
"""

cimport cython
from libc.math cimport pow, sqrt
from libc.string cimport memset

cimport numpy as cnp

from pydl._core.tape cimport TensorBase, is_contiguous, requires_grad, slots
from pydl._core.update cimport Rule, number, pydl_options, pydl_step_fn, pydl_update, take_step


cnp.import_array()

cdef tuple STEP = ("step",)
cdef tuple MOMENTS = ("exp_avg", "exp_avg_sq")


@cython.internal
cdef class SGD(Rule):
    def __cinit__(self):
        self.name, self.may_lack, self.ns_per_element = "SGD", True, 0.3

    cdef int read(self, dict group) except -1:
        self.h.sgd.lr, self.h.sgd.weight_decay = number(group["lr"]), number(group["weight_decay"])
        self.h.sgd.momentum, self.h.sgd.dampening = number(group["momentum"]), number(group["dampening"])
        self.h.sgd.nesterov, self.h.sgd.maximize = bool(group["nesterov"]), bool(group["maximize"])
        self.arrays = ("momentum_buffer",) if self.h.sgd.momentum != 0 else ()
        return 0

    cdef void set_first(self, pydl_options* h, bint first) noexcept:
        h.sgd.first = first

    cdef pydl_step_fn* kernel(self, const pydl_update* k) noexcept:
        return k.sgd


@cython.internal
cdef class ASGD(Rule):
    cdef double lr, lambd, alpha, t0

    def __cinit__(self):
        self.name, self.scalars, self.arrays = "ASGD", ("step", "eta", "mu"), ("ax",)

    cdef int read(self, dict group) except -1:
        self.lr, self.lambd = number(group["lr"]), number(group["lambd"])
        self.alpha, self.t0 = number(group["alpha"]), number(group["t0"])
        self.h.asgd.weight_decay, self.h.asgd.maximize = number(group["weight_decay"]), bool(group["maximize"])
        return 0

    cdef double start_of_scalar(self, Py_ssize_t i) noexcept:
        return 0 if i == 0 else self.lr if i == 1 else 1

    cdef void advance(self, double* scalars) noexcept:
        self.h.asgd.rate, self.h.asgd.mu = scalars[1], scalars[2]
        self.h.asgd.shrink = 1 - self.lambd * scalars[1]
        scalars[0] += 1
        scalars[1] = self.lr / pow(1 + self.lambd * self.lr * scalars[0], self.alpha)
        scalars[2] = 1 / max(1.0, scalars[0] - self.t0)

    cdef pydl_step_fn* kernel(self, const pydl_update* k) noexcept:
        return k.asgd


@cython.internal
cdef class Rprop(Rule):
    cdef double lr

    def __cinit__(self):
        self.name, self.scalars, self.arrays = "Rprop", STEP, ("prev", "step_size")

    cdef int read(self, dict group) except -1:
        self.lr = number(group["lr"])
        minus, plus = group["etas"]
        low, high = group["step_sizes"]
        self.h.rprop.eta_minus, self.h.rprop.eta_plus = number(minus), number(plus)
        self.h.rprop.step_min, self.h.rprop.step_max = number(low), number(high)
        self.h.rprop.maximize = bool(group["maximize"])
        return 0

    cdef double start_of_array(self, Py_ssize_t i) noexcept:
        return self.lr if i == 1 else 0

    cdef void advance(self, double* scalars) noexcept:
        scalars[0] += 1

    cdef pydl_step_fn* kernel(self, const pydl_update* k) noexcept:
        return k.rprop


# --- the Adam family ----------------------------------------------------------------------------------------------

@cython.internal
cdef class Moments(Rule):
    """What its members share: two betas, weight decay of one of two kinds, a count of steps."""
    cdef double lr, weight_decay, beta1, beta2, eps
    cdef bint decoupled, maximize

    def __cinit__(self):
        self.scalars, self.arrays = STEP, MOMENTS

    cdef int read(self, dict group) except -1:
        beta1, beta2 = group["betas"]
        self.beta1, self.beta2 = number(beta1), number(beta2)
        self.lr, self.eps, self.weight_decay = number(group["lr"]), number(group["eps"]), number(group["weight_decay"])
        self.decoupled = bool(group.get("decoupled_weight_decay", False))
        self.maximize = bool(group["maximize"])
        return 0

    cdef double shrink(self) noexcept:
        return 1 - self.lr * self.weight_decay if self.decoupled else 1

    cdef double added_decay(self) noexcept:
        return 0 if self.decoupled else self.weight_decay


@cython.internal
cdef class Adam(Moments):
    def __cinit__(self):
        self.name = "Adam"

    cdef int read(self, dict group) except -1:
        Moments.read(self, group)
        self.arrays = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq") if group["amsgrad"] else MOMENTS
        self.h.adam.weight_decay, self.h.adam.shrink = self.added_decay(), self.shrink()
        self.h.adam.beta1, self.h.adam.beta2, self.h.adam.eps = self.beta1, self.beta2, self.eps
        self.h.adam.maximize = self.maximize
        return 0

    cdef void advance(self, double* scalars) noexcept:
        scalars[0] += 1
        self.h.adam.rate = self.lr / (1 - pow(self.beta1, scalars[0]))
        self.h.adam.root_scale = 1 / sqrt(1 - pow(self.beta2, scalars[0]))

    cdef pydl_step_fn* kernel(self, const pydl_update* k) noexcept:
        return k.adam


@cython.internal
cdef class NAdam(Moments):
    cdef double momentum_decay

    def __cinit__(self):
        self.name, self.scalars = "NAdam", ("step", "mu_product")

    cdef int read(self, dict group) except -1:
        Moments.read(self, group)
        self.momentum_decay = number(group["momentum_decay"])
        self.h.nadam.weight_decay, self.h.nadam.shrink = self.added_decay(), self.shrink()
        self.h.nadam.beta1, self.h.nadam.beta2, self.h.nadam.eps = self.beta1, self.beta2, self.eps
        self.h.nadam.maximize = self.maximize
        return 0

    cdef double start_of_scalar(self, Py_ssize_t i) noexcept:
        return i

    cdef void advance(self, double* scalars) noexcept:
        cdef double mu, next_mu
        scalars[0] += 1
        mu = self.beta1 * (1 - 0.5 * pow(0.96, scalars[0] * self.momentum_decay))
        next_mu = self.beta1 * (1 - 0.5 * pow(0.96, (scalars[0] + 1) * self.momentum_decay))
        # The product is rounded as it is stored, as PyTorch does it.
        scalars[1] = scalars[1] * mu if self.wide else <double>(<float>scalars[1] * <float>mu)
        self.h.nadam.grad_rate = self.lr * (1 - mu) / (1 - scalars[1])
        self.h.nadam.avg_rate = self.lr * next_mu / (1 - scalars[1] * next_mu)
        self.h.nadam.square_scale = 1 / (1 - pow(self.beta2, scalars[0]))

    cdef pydl_step_fn* kernel(self, const pydl_update* k) noexcept:
        return k.nadam


@cython.internal
cdef class RAdam(Moments):
    def __cinit__(self):
        self.name = "RAdam"

    cdef int read(self, dict group) except -1:
        Moments.read(self, group)
        self.h.radam.weight_decay, self.h.radam.shrink = self.added_decay(), self.shrink()
        self.h.radam.beta1, self.h.radam.beta2, self.h.radam.eps = self.beta1, self.beta2, self.eps
        self.h.radam.maximize = self.maximize
        return 0

    cdef void advance(self, double* scalars) noexcept:
        cdef double longest = 2 / (1 - self.beta2) - 1, power, correction, length
        scalars[0] += 1
        power = pow(self.beta2, scalars[0])
        correction = 1 - power
        length = longest - 2 * scalars[0] * power / correction     # of the average, in gradients
        self.h.radam.rate = self.lr / (1 - pow(self.beta1, scalars[0]))
        self.h.radam.adapt = 0
        if length > 5:
            self.h.radam.adapt = sqrt(correction) * sqrt(
                (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length))

    cdef pydl_step_fn* kernel(self, const pydl_update* k) noexcept:
        return k.radam


@cython.internal
cdef class Adamax(Moments):
    def __cinit__(self):
        self.name, self.arrays = "Adamax", ("exp_avg", "exp_inf")

    cdef int read(self, dict group) except -1:
        Moments.read(self, group)
        self.h.adamax.weight_decay, self.h.adamax.maximize = self.weight_decay, self.maximize
        self.h.adamax.beta1, self.h.adamax.beta2, self.h.adamax.eps = self.beta1, self.beta2, self.eps
        return 0

    cdef void advance(self, double* scalars) noexcept:
        scalars[0] += 1
        self.h.adamax.rate = self.lr / (1 - pow(self.beta1, scalars[0]))

    cdef pydl_step_fn* kernel(self, const pydl_update* k) noexcept:
        return k.adamax


# --- the others that scale by the size of the gradients -----------------------------------------------------------

@cython.internal
cdef class Adadelta(Rule):
    def __cinit__(self):
        self.name, self.scalars, self.arrays = "Adadelta", STEP, ("square_avg", "acc_delta")

    cdef int read(self, dict group) except -1:
        self.h.adadelta.weight_decay, self.h.adadelta.lr = number(group["weight_decay"]), number(group["lr"])
        self.h.adadelta.rho, self.h.adadelta.eps = number(group["rho"]), number(group["eps"])
        self.h.adadelta.maximize = bool(group["maximize"])
        return 0

    cdef void advance(self, double* scalars) noexcept:
        scalars[0] += 1

    cdef pydl_step_fn* kernel(self, const pydl_update* k) noexcept:
        return k.adadelta


@cython.internal
cdef class Adagrad(Rule):
    cdef double lr, lr_decay, start

    def __cinit__(self):
        self.name, self.scalars, self.arrays = "Adagrad", STEP, ("sum",)

    cdef int read(self, dict group) except -1:
        self.lr, self.lr_decay = number(group["lr"]), number(group["lr_decay"])
        self.start = number(group["initial_accumulator_value"])
        self.h.adagrad.weight_decay, self.h.adagrad.eps = number(group["weight_decay"]), number(group["eps"])
        self.h.adagrad.maximize = bool(group["maximize"])
        return 0

    cdef double start_of_array(self, Py_ssize_t i) noexcept:
        return self.start

    cdef void advance(self, double* scalars) noexcept:
        self.h.adagrad.rate = self.lr / (1 + scalars[0] * self.lr_decay)
        scalars[0] += 1

    cdef pydl_step_fn* kernel(self, const pydl_update* k) noexcept:
        return k.adagrad


@cython.internal
cdef class RMSprop(Rule):
    def __cinit__(self):
        self.name, self.scalars = "RMSprop", STEP

    cdef int read(self, dict group) except -1:
        self.h.rmsprop.weight_decay, self.h.rmsprop.lr = number(group["weight_decay"]), number(group["lr"])
        self.h.rmsprop.alpha, self.h.rmsprop.eps = number(group["alpha"]), number(group["eps"])
        self.h.rmsprop.momentum, self.h.rmsprop.maximize = number(group["momentum"]), bool(group["maximize"])
        self.arrays = ("square_avg", "momentum_buffer" if self.h.rmsprop.momentum > 0 else None,
                       "grad_avg" if group["centered"] else None)
        return 0

    cdef void advance(self, double* scalars) noexcept:
        scalars[0] += 1

    cdef pydl_step_fn* kernel(self, const pydl_update* k) noexcept:
        return k.rmsprop


# --- what Python calls --------------------------------------------------------------------------------------------

def sgd(list groups, object state) -> None:
    """One step of SGD for all parameters that have a gradient, in place."""
    take_step(SGD.__new__(SGD), groups, state)


def asgd(list groups, object state) -> None:
    """One step of averaged SGD."""
    take_step(ASGD.__new__(ASGD), groups, state)


def rprop(list groups, object state) -> None:
    """One step of Rprop."""
    take_step(Rprop.__new__(Rprop), groups, state)


def adam(list groups, object state) -> None:
    """One step of Adam or AdamW."""
    take_step(Adam.__new__(Adam), groups, state)


def nadam(list groups, object state) -> None:
    """One step of NAdam."""
    take_step(NAdam.__new__(NAdam), groups, state)


def radam(list groups, object state) -> None:
    """One step of RAdam."""
    take_step(RAdam.__new__(RAdam), groups, state)


def adamax(list groups, object state) -> None:
    """One step of Adamax."""
    take_step(Adamax.__new__(Adamax), groups, state)


def adadelta(list groups, object state) -> None:
    """One step of Adadelta."""
    take_step(Adadelta.__new__(Adadelta), groups, state)


def adagrad(list groups, object state) -> None:
    """One step of Adagrad."""
    take_step(Adagrad.__new__(Adagrad), groups, state)


def rmsprop(list groups, object state) -> None:
    """One step of RMSprop."""
    take_step(RMSprop.__new__(RMSprop), groups, state)


def clear_gradients(params, bint set_to_none) -> None:
    """Drops the gradients of the parameters, or fills them with zeros; what was recorded of them is forgotten."""
    cdef TensorBase p
    for param in params:
        if not isinstance(param, TensorBase):
            raise TypeError(f"zero_grad: takes Tensors, not {type(param).__name__}")
        p = <TensorBase>param
        if p.grad_ is None:
            continue
        if set_to_none:
            p.grad_ = None
        else:
            if requires_grad(p.grad_):
                p.grad_ = p.grad_.detach()
            if is_contiguous(p.grad_) and cnp.PyArray_ISWRITEABLE(p.grad_.a):
                memset(cnp.PyArray_DATA(p.grad_.a), 0, cnp.PyArray_NBYTES(p.grad_.a))
                p.grad_.s.version += 1
            else:
                slots.fill_(p.grad_, 0)
