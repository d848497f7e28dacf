# SPDX-License-Identifier: BSD-3-Clause
"""What an optimizer gives to the driver of all steps: its options, its state, its kernel."""

cdef extern from "update_kernels.h" nogil:
    ctypedef struct pydl_sgd:
        double lr, momentum, dampening, weight_decay
        int nesterov, maximize, first
    ctypedef struct pydl_adam:
        double weight_decay, shrink, beta1, beta2, eps, rate, root_scale
        int maximize
    ctypedef struct pydl_nadam:
        double weight_decay, shrink, beta1, beta2, eps, grad_rate, avg_rate, square_scale
        int maximize
    ctypedef struct pydl_radam:
        double weight_decay, shrink, beta1, beta2, eps, rate, adapt
        int maximize
    ctypedef struct pydl_adamax:
        double weight_decay, beta1, beta2, eps, rate
        int maximize
    ctypedef struct pydl_adadelta:
        double weight_decay, lr, rho, eps
        int maximize
    ctypedef struct pydl_adagrad:
        double weight_decay, rate, eps
        int maximize
    ctypedef struct pydl_rmsprop:
        double weight_decay, lr, alpha, momentum, eps
        int maximize
    ctypedef struct pydl_rprop:
        double eta_minus, eta_plus, step_min, step_max
        int maximize
    ctypedef struct pydl_asgd:
        double weight_decay, shrink, rate, mu
        int maximize
    ctypedef union pydl_options:
        pydl_sgd sgd
        pydl_adam adam
        pydl_nadam nadam
        pydl_radam radam
        pydl_adamax adamax
        pydl_adadelta adadelta
        pydl_adagrad adagrad
        pydl_rmsprop rmsprop
        pydl_rprop rprop
        pydl_asgd asgd
    ctypedef void pydl_step_fn(void*, const void*, void*, void*, void*, const pydl_options*, ptrdiff_t) noexcept nogil
    ctypedef double pydl_norm_fn(const void*, ptrdiff_t) noexcept nogil
    ctypedef struct pydl_update:
        pydl_step_fn* sgd
        pydl_step_fn* adam
        pydl_step_fn* nadam
        pydl_step_fn* radam
        pydl_step_fn* adamax
        pydl_step_fn* adadelta
        pydl_step_fn* adagrad
        pydl_step_fn* rmsprop
        pydl_step_fn* rprop
        pydl_step_fn* asgd
        pydl_norm_fn* sum_squares
        pydl_norm_fn* sum_abs
        pydl_norm_fn* max_abs

cdef enum:
    MAX_SCALARS = 3       # numbers that an optimizer remembers for a parameter, as 0-d tensors ("step")
    MAX_ARRAYS = 3        # tensors of the parameter's shape that it remembers


cdef class Rule:
    """One optimizer. It is made anew for each step, so it may keep what it read from a group."""
    cdef str name                        # for messages
    cdef tuple scalars, arrays           # names in the state; None: that array is not needed with these options
    cdef bint may_lack                   # an array that is not there yet is made; else that is a KeyError
    cdef pydl_options h                  # of the group, then of the parameter too
    cdef double ns_per_element
    cdef bint wide                       # the scalars at hand are float64
    cdef bint known                      # `before`, `after` and h are of the group at hand
    cdef double before[MAX_SCALARS]
    cdef double after[MAX_SCALARS]

    cdef int read(self, dict group) except -1                  # takes over a group's options
    cdef double start_of_scalar(self, Py_ssize_t i) noexcept   # what a new state begins with
    cdef double start_of_array(self, Py_ssize_t i) noexcept
    cdef void advance(self, double* scalars) noexcept          # the scalars after this step; finishes h
    cdef void set_first(self, pydl_options* h, bint first) noexcept      # of a parameter whose first array is new
    cdef pydl_step_fn* kernel(self, const pydl_update* k) noexcept


# One step for all groups in place (state: a dict or a subclass); everything is checked, and all memory taken, before anything is written.
cdef int take_step(Rule rule, list groups, object state) except -1

cdef double number(object x) except? -1
