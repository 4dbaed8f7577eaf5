#ifndef FEDWATT_PORTABLE_H_
#define FEDWATT_PORTABLE_H_

/* Any model without LibTorch and without an update of your app: a trainer for models that carry a
 * training graph, which `fedwatt-torch import` derives from a PyTorch module (docs/portable.md).
 * Your app supplies the next batch, and nothing else. C99 and later; C++ programs are better served
 * by <fedwatt/portable_trainer.h>. In libfedwatt_trainer_portable.so (CMake: fedwatt::
 * trainer_portable, pkg-config: fedwatt-trainer-portable), which only apps that use it need.
 *
 *   fedwatt_trainer trainer = FEDWATT_INIT(fedwatt_trainer);
 *   if (fedwatt_portable_trainer(0, &trainer, &error) != FEDWATT_OK) puts(error.message);
 *   options.trainer = &trainer;
 *
 * Batches and their order, and the update to 1e-5, are those of LibTorch. The data set is read
 * whole at the beginning of each piece of work and kept in memory until its end, for every epoch
 * has another order. A graph cannot loop, branch or call, and its memory is counted before it is
 * taken, so that it needs no process of its own. Training that was interrupted goes on. */

#include <fedwatt/fedwatt.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Fills `trainer`, for fedwatt_options.trainer of one client; jobs can ask for it by the name
 * "portable". `memory_limit_bytes`: of examples, tensors, values, gradients and the optimizer's
 * state together; 0: 1 GiB. A job that needs more is reported as failed, with what it needs. What
 * it holds belongs to the client once that is open, and to you until then: free it by
 * trainer.destroy(trainer.ctx) if fedwatt_client_open fails.
 *
 * INVALID_ARGUMENT: `trainer` is NULL or was not initialised. RESOURCE_EXHAUSTED: out of memory. */
FEDWATT_UNSTABLE int32_t fedwatt_portable_trainer(uint64_t memory_limit_bytes,
                                                  fedwatt_trainer* trainer, fedwatt_error* error);

#ifdef __cplusplus
}
#endif

#endif /* FEDWATT_PORTABLE_H_ */
