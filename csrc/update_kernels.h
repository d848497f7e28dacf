/* SPDX-License-Identifier: BSD-3-Clause */
/* Kernels of the optimizers (update.h, update_adaptive.h): one step in place over n contiguous elements, and the norms of gradients
 * (total_norm.h). Nothing overlaps but p and g, which may be the same memory. Rules as in kernels.h.
 *
 * The steps have one signature, so that one driver serves them all: parameters, gradients, up to three arrays of state, and the
 * numbers of the step, which are worked out in double beforehand. */
#ifndef PYDL_UPDATE_KERNELS_H
#define PYDL_UPDATE_KERNELS_H

#include <stddef.h>

#define PYDL_STEPS(X) X(sgd) X(adam) X(nadam) X(radam) X(adamax) X(adadelta) X(adagrad) X(rmsprop) X(rprop) X(asgd)
#define PYDL_NORMS(X) X(sum_squares) X(sum_abs) X(max_abs)
#define PYDL_UPDATE(X) PYDL_STEPS(X) PYDL_NORMS(X)

/* d = +-g + weight_decay p in all of them; maximize turns the sign of g. s0, s1, s2 are the arrays of state. */
typedef struct pydl_sgd { /* momentum_buffer, or NULL without momentum */
    double lr, momentum, dampening, weight_decay;
    int nesterov, maximize, first; /* first: the momentum buffer is not yet filled */
} pydl_sgd;

typedef struct pydl_adam { /* exp_avg, exp_avg_sq, max_exp_avg_sq or NULL */
    double weight_decay, shrink;           /* shrink: what p is multiplied by first (decoupled decay), or 1 */
    double beta1, beta2, eps;
    double rate, root_scale;               /* lr / (1 - beta1^t), 1 / sqrt(1 - beta2^t) */
    int maximize;
} pydl_adam;

typedef struct pydl_nadam { /* exp_avg, exp_avg_sq */
    double weight_decay, shrink, beta1, beta2, eps;
    double grad_rate, avg_rate, square_scale; /* of d, of exp_avg, 1 / (1 - beta2^t) */
    int maximize;
} pydl_nadam;

typedef struct pydl_radam { /* exp_avg, exp_avg_sq */
    double weight_decay, shrink, beta1, beta2, eps;
    double rate, adapt;                    /* lr / (1 - beta1^t); rectification · sqrt(1 - beta2^t), or 0: a step without root */
    int maximize;
} pydl_radam;

typedef struct pydl_adamax { /* exp_avg, exp_inf */
    double weight_decay, beta1, beta2, eps, rate; /* rate: lr / (1 - beta1^t) */
    int maximize;
} pydl_adamax;

typedef struct pydl_adadelta { /* square_avg, acc_delta */
    double weight_decay, lr, rho, eps;
    int maximize;
} pydl_adadelta;

typedef struct pydl_adagrad { /* sum */
    double weight_decay, rate, eps;        /* rate: lr / (1 + (t - 1) lr_decay) */
    int maximize;
} pydl_adagrad;

typedef struct pydl_rmsprop { /* square_avg, momentum_buffer or NULL, grad_avg or NULL (not centered) */
    double weight_decay, lr, alpha, momentum, eps;
    int maximize;
} pydl_rmsprop;

typedef struct pydl_rprop { /* prev, step_size */
    double eta_minus, eta_plus, step_min, step_max;
    int maximize;
} pydl_rprop;

typedef struct pydl_asgd { /* ax */
    double weight_decay, shrink, rate, mu; /* 1 - lambd eta, eta, weight of the new p in the average (1: a copy) */
    int maximize;
} pydl_asgd;

typedef union pydl_options {
    pydl_sgd sgd;
    pydl_adam adam;
    pydl_nadam nadam;
    pydl_radam radam;
    pydl_adamax adamax;
    pydl_adadelta adadelta;
    pydl_adagrad adagrad;
    pydl_rmsprop rmsprop;
    pydl_rprop rprop;
    pydl_asgd asgd;
} pydl_options;

typedef void pydl_step_fn(void *p, const void *g, void *s0, void *s1, void *s2, const pydl_options *h, ptrdiff_t n);
/* Σ x², Σ |x|, max |x| (0 for n = 0; NaN if there is one), summed in double in an order that depends on n alone. */
typedef double pydl_norm_fn(const void *x, ptrdiff_t n);

typedef struct pydl_update {
#define PYDL_STEP_FIELD(name) pydl_step_fn *name;
#define PYDL_NORM_FIELD(name) pydl_norm_fn *name;
    PYDL_STEPS(PYDL_STEP_FIELD)
    PYDL_NORMS(PYDL_NORM_FIELD)
} pydl_update;

#endif
