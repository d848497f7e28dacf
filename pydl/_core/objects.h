/* SPDX-License-Identifier: BSD-3-Clause */
/* How tensors and nodes come and go. An operation on a few numbers makes and drops two of them, which through the interpreter's
 * general ways costs as much as the rest of it: so their memory is kept for the next one, they are not garbage-collected, their
 * dict is made when an attribute is set, and number slots are inherited as they are. All under the interpreter lock.
 */
#ifndef PYDL_OBJECTS_H
#define PYDL_OBJECTS_H

#include <Python.h>
#include <string.h>

enum { PYDL_OBJECT_UNIT = 16, PYDL_OBJECT_SIZES = 64, PYDL_OBJECTS_KEPT = 1024 };
static void *pydl_kept_objects[PYDL_OBJECT_SIZES];
static int pydl_n_kept_objects[PYDL_OBJECT_SIZES];

static PyObject *pydl_alloc(PyTypeObject *type, Py_ssize_t n_items) {
    const size_t units = ((size_t)type->tp_basicsize + PYDL_OBJECT_UNIT - 1) / PYDL_OBJECT_UNIT;
    void *p;
    (void)n_items;
    if (units < PYDL_OBJECT_SIZES && pydl_kept_objects[units]) {
        p = pydl_kept_objects[units];
        memcpy(&pydl_kept_objects[units], p, sizeof(void *));
        pydl_n_kept_objects[units]--;
    } else if (!(p = PyObject_Malloc(units * PYDL_OBJECT_UNIT))) {
        return PyErr_NoMemory();
    }
    memset(p, 0, (size_t)type->tp_basicsize);
    return PyObject_Init((PyObject *)p, type);
}

static void pydl_free(void *p) {
    const size_t units = ((size_t)Py_TYPE((PyObject *)p)->tp_basicsize + PYDL_OBJECT_UNIT - 1) / PYDL_OBJECT_UNIT;
    if (units >= PYDL_OBJECT_SIZES || pydl_n_kept_objects[units] >= PYDL_OBJECTS_KEPT) {
        PyObject_Free(p);
        return;
    }
    memcpy(p, &pydl_kept_objects[units], sizeof(void *));
    pydl_kept_objects[units] = p;
    pydl_n_kept_objects[units]++;
}

/* Before the first instance; types that derive from it later inherit this. */
static void pydl_keep_memory_of(PyTypeObject *type) {
    type->tp_alloc = pydl_alloc;
    type->tp_free = pydl_free;
}

/* A class statement always makes a garbage-collected type. Tensors have nothing to collect, and tracking them would make the
 * collector walk every graph that is alive. Before the first instance. */
static void pydl_without_gc(PyTypeObject *type) {
    type->tp_flags &= ~Py_TPFLAGS_HAVE_GC;
    pydl_keep_memory_of(type);
}

/* The number slots of a class made by a class statement that defines none of them: such a class would look the methods up by
 * name at every operation. */
static void pydl_inherit_numbers(PyTypeObject *type) {
    const PyNumberMethods *from = type->tp_base->tp_as_number;
    PyNumberMethods *to = type->tp_as_number;
    to->nb_add = from->nb_add;
    to->nb_subtract = from->nb_subtract;
    to->nb_multiply = from->nb_multiply;
    to->nb_true_divide = from->nb_true_divide;
    to->nb_power = from->nb_power;
    to->nb_matrix_multiply = from->nb_matrix_multiply;
}

/* A tuple, or an instance of a class derived from it, of n numbers. */
static PyObject *pydl_tuple_of(PyTypeObject *type, int n, const Py_ssize_t *numbers) {
    PyObject *tuple = type->tp_alloc(type, n), *number;
    for (int i = 0; tuple && i < n; i++) {
        if ((number = PyLong_FromSsize_t(numbers[i]))) PyTuple_SET_ITEM(tuple, i, number);
        else Py_CLEAR(tuple);
    }
    return tuple;
}

/* The first fields of a tensor, in this order. */
typedef struct pydl_tensor {
    PyObject_HEAD
    PyObject *attributes, *array, *storage;
} pydl_tensor;

static newfunc pydl_new_unset;
static destructor pydl_clear_tensor;
static void (*pydl_keep_array)(PyObject *array, PyObject *storage);
static PyObject *pydl_no_array, *pydl_no_storage, *pydl_no_args;

/* A tensor with every field None; the caller sets array and storage. */
static PyObject *pydl_unset_tensor(PyTypeObject *type) { return pydl_new_unset(type, pydl_no_args, NULL); }

/* An object made by __new__ alone is an empty tensor, never a null pointer. */
static PyObject *pydl_new_tensor(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    pydl_tensor *t = (pydl_tensor *)pydl_unset_tensor(type);
    (void)args, (void)kwargs;
    if (!t) return NULL;
    Py_DECREF(t->array);
    Py_DECREF(t->storage);
    t->array = Py_NewRef(pydl_no_array);
    t->storage = Py_NewRef(pydl_no_storage);
    return (PyObject *)t;
}

/* The array of a tensor is offered to the pool when nobody else refers to it. */
static void pydl_drop_tensor(PyObject *o) {
    pydl_tensor *t = (pydl_tensor *)o;
    Py_CLEAR(t->attributes);
    if (Py_REFCNT(t->array) == 1 && Py_REFCNT(t->storage) == 2) pydl_keep_array(t->array, t->storage);
    pydl_clear_tensor(o);
}

/* For the base class of tensors, before the first one and before a class derives from it. */
static int pydl_set_up_tensors(PyTypeObject *type, PyObject *array, PyObject *storage, void *keep_array) {
    PyObject *probe;
    pydl_tensor *t;
    pydl_no_array = Py_NewRef(array);
    pydl_no_storage = Py_NewRef(storage);
    pydl_keep_array = (void (*)(PyObject *, PyObject *))keep_array;
    pydl_new_unset = type->tp_new;
    if (!(pydl_no_args = PyTuple_New(0))) return -1;
    if (!(probe = pydl_unset_tensor(type))) return -1;
    t = (pydl_tensor *)probe;
    if (t->attributes || t->array != Py_None || t->storage != Py_None) {
        PyErr_SetString(PyExc_SystemError, "pydl: the fields of TensorBase do not lie as objects.h says");
        return -1; /* the probe stays: it cannot be dropped safely */
    }
    Py_DECREF(probe);
    pydl_clear_tensor = type->tp_dealloc;
    type->tp_new = pydl_new_tensor;
    type->tp_dealloc = pydl_drop_tensor;
    type->tp_dictoffset = offsetof(pydl_tensor, attributes);
    PyType_Modified(type);
    return 0;
}

#endif
