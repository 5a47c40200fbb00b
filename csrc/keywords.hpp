// Functions of the Python module that take keyword arguments only and fill one of the core's structs by name, so that
// no two of thirty numbers can change places. Python calls them with the names in a tuple that belongs to the place of
// the call; which name fills which field is worked out when that tuple is first seen.
#pragma once

#include <pybind11/pybind11.h>

#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "conv_transpose.hpp"

namespace desali {

namespace py = pybind11;

// Conversions from what Python passes. They throw py::error_already_set with Python's own error.
inline void take(PyObject* value, int64_t& to) {
    to = PyLong_AsLongLong(value);
    if (to == -1 && PyErr_Occurred()) throw py::error_already_set();
}

inline void take(PyObject* value, int& to) {
    int64_t wide;
    take(value, wide);
    if (wide < INT32_MIN || wide > INT32_MAX) throw std::invalid_argument("a number is beyond 32 bits");
    to = static_cast<int>(wide);
}

inline void take(PyObject* value, bool& to) {
    int truth = PyObject_IsTrue(value);
    if (truth < 0) throw py::error_already_set();
    to = truth == 1;
}

inline void take(PyObject* value, double& to) {
    to = PyFloat_AsDouble(value);
    if (to == -1 && PyErr_Occurred()) throw py::error_already_set();
}

inline void take(PyObject* value, DType& to) {
    int code;
    take(value, code);
    to = static_cast<DType>(code);
}

template <class T>
void take(PyObject* value, T*& to) {  // an address, 0 for none
    to = static_cast<T*>(PyLong_AsVoidPtr(value));
    if (!to && PyErr_Occurred()) throw py::error_already_set();
}

// A tuple of as many items.
template <class... T>
void take_items(PyObject* value, T&... to) {
    if (!PyTuple_Check(value) || PyTuple_GET_SIZE(value) != static_cast<Py_ssize_t>(sizeof...(T)))
        throw py::type_error("expected a tuple of " + std::to_string(sizeof...(T)));
    Py_ssize_t at = 0;
    (take(PyTuple_GET_ITEM(value, at++), to), ...);
}

inline void take(PyObject* value, CudaWay& to) {
    int code;
    take(value, code);
    to = static_cast<CudaWay>(code);
}

inline void take(PyObject* value, Axis& to) {  // desali.ops.native.Axis
    take_items(value, to.kernel, to.stride, to.padding, to.dilation);
}

template <class Struct>
class Keywords {
  public:
    struct Field {
        const char* name;
        void (*fill)(Struct&, PyObject*);
    };

    Keywords(const char* function, std::vector<Field> fields) : function_(function), fields_(std::move(fields)) {}

    Struct read(PyObject* const* values, Py_ssize_t positional, PyObject* names) {
        if (positional) throw py::type_error(std::string(function_) + "() takes keyword arguments only");
        Struct filled{};
        const std::vector<const Field*>& order = order_of(names);
        for (size_t i = 0; i < order.size(); ++i) try {
                order[i]->fill(filled, values[i]);
            } catch (const std::exception& error) {
                throw py::type_error(std::string(function_) + "(): " + order[i]->name + ": " + error.what());
            }
        return filled;
    }

  private:
    // Each place of a call has a tuple of its own, which is kept.
    const std::vector<const Field*>& order_of(PyObject* names) {
        auto known = orders_.find(names);
        if (known != orders_.end()) return known->second;
        std::vector<const Field*> order;
        const Py_ssize_t count = names ? PyTuple_GET_SIZE(names) : 0;
        for (Py_ssize_t i = 0; i < count; ++i) {
            const std::string name = py::cast<std::string>(PyTuple_GET_ITEM(names, i));
            const Field* found = nullptr;
            for (const Field& field : fields_)
                if (name == field.name) found = &field;
            if (!found) throw py::type_error(std::string(function_) + "() has no argument '" + name + "'");
            order.push_back(found);
        }
        for (const Field& field : fields_) {
            bool given = false;
            for (const Field* one : order) given = given || one == &field;
            if (!given) throw py::type_error(std::string(function_) + "() needs the argument '" + field.name + "'");
        }
        if (orders_.size() >= 64) {  // calls with **names bring a new tuple each time
            for (const auto& entry : orders_) Py_XDECREF(entry.first);
            orders_.clear();
        }
        Py_XINCREF(names);
        return orders_[names] = std::move(order);
    }

    const char* function_;
    std::vector<Field> fields_;
    std::map<PyObject*, std::vector<const Field*>> orders_;
};

// Runs a function of the module; what it throws becomes Python's error.
template <class F>
PyObject* guarded(const F& run) {
    try {
        return run();
    } catch (py::error_already_set& error) {
        error.restore();
    } catch (const py::builtin_exception& error) {
        error.set_error();
    } catch (const std::bad_alloc&) {
        PyErr_NoMemory();
    } catch (const std::exception& error) {
        PyErr_SetString(PyExc_RuntimeError, error.what());
    }
    return nullptr;
}

}  // namespace desali
