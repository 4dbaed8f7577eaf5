#ifndef FEDWATT_TORCH_IN_PROCESS_H_
#define FEDWATT_TORCH_IN_PROCESS_H_

/* TorchScript models inside of your app, by LibTorch: for models that you trust only, such as those
 * that your own people make and sign. C99 and later; C++ programs are better served by
 * <fedwatt/torch_in_process_trainer.h>. In libfedwatt_trainer_torch_in_process.so (CMake: fedwatt::
 * trainer_torch_in_process, pkg-config: fedwatt-trainer-torch-in-process), which only apps that use
 * it need, and which needs LibTorch (115 MB).
 *
 *   fedwatt_trainer trainer = FEDWATT_INIT(fedwatt_trainer);
 *   const int32_t code = fedwatt_torch_in_process_trainer(NULL, &trainer, &error);
 *   if (code != FEDWATT_OK) puts(error.message);
 *   options.trainer = &trainer;
 *
 * The same plan gives the same bits as the program fedwatt-torch (options.torch_program), which is
 * the better choice wherever a process can be started. What is missing here is that process's
 * limits. A model can
 *   - take all memory that the app may have: there is no limit but the system's, and what does not
 *     end in RESOURCE_EXHAUSTED ends the app;
 *   - loop for ever: a step that takes longer than the job's limit is reported as failed, and the
 *     trainer gets no more work, but its thread goes on until the app ends;
 *   - crash, and the app with it: LibTorch's operators trust their arguments more than they check.
 * What stays: bundles must be signed by a key that you trust, and every operator of a graph must be
 * on the list of those that neither read files nor print nor start threads, before any of it runs.
 *
 * LibTorch's random numbers and thread counts are those of the whole process: an app that uses
 * LibTorch itself finds them changed (one thread, another seed). The data set is read whole at the
 * beginning of each piece of work and kept in memory until its end. Training that was interrupted
 * goes on. */

#include <fedwatt/fedwatt.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Fills `trainer`, for fedwatt_options.trainer of one client; jobs can ask for it by the name
 * "torch". `device`: "auto" (a GPU that LibTorch can use, if there is one), "cpu" or "cuda"; NULL:
 * "auto". What it holds belongs to the client once that is open, and to you until then: free it by
 * trainer.destroy(trainer.ctx) if fedwatt_client_open fails.
 *
 * FAILED_PRECONDITION: there is one in this process already; close its client first.
 * INVALID_ARGUMENT: `trainer` is NULL or was not initialised, `device` is none of these.
 * RESOURCE_EXHAUSTED: out of memory. */
FEDWATT_UNSTABLE int32_t fedwatt_torch_in_process_trainer(const char* device,
                                                          fedwatt_trainer* trainer,
                                                          fedwatt_error* error);

#ifdef __cplusplus
}
#endif

#endif /* FEDWATT_TORCH_IN_PROCESS_H_ */
