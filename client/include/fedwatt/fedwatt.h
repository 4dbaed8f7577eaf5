#ifndef FEDWATT_FEDWATT_H_
#define FEDWATT_FEDWATT_H_

/* The fedwatt client as a library with a C interface: federated learning inside of your own app.
 * C99 and later, C++, and every language that can call C. C++ programs are better served by
 * <fedwatt/client.h>, which is a thin layer over this file.
 *
 *   fedwatt_options options = FEDWATT_INIT(fedwatt_options);
 *   options.server = "fl.example.org:7443";
 *   ...                                                  what you must set is marked "required"
 *   fedwatt_client* client = NULL;
 *   fedwatt_error error = FEDWATT_INIT(fedwatt_error);
 *   if (fedwatt_client_open(&options, &client, &error) != FEDWATT_OK) puts(error.message);
 *   fedwatt_client_run_in_background(client, &error);    or call fedwatt_client_tick yourself
 *   ...
 *   fedwatt_client_close(client, 5000, &error);
 *
 * What the client does by itself: it asks the coordinator for work, fetches and verifies model and
 * plan, has your trainer train on your data, compresses and sends the update with the energy that
 * it cost, and goes on after kill -9 or a loss of power where it was. Your data never leaves the
 * process, except to a trainer process that you asked for.
 *
 * The thread rule. Each object that you hand over is called by one thread at a time, not always the
 * same one; two objects may be called at once. Every function here may be called from any thread,
 * also from inside of your callbacks, except where its comment says otherwise.
 *
 * Memory. Texts and arrays that you pass are copied before the function returns. What a callback
 * returns by pointer stays yours, and stays valid until the next call of the same object. What a
 * function here returns by pointer stays ours; its comment says for how long it is valid. The one
 * thing that you free is the client, with fedwatt_client_close.
 *
 * Errors. Functions and callbacks return one of fedwatt_code, and say more in a fedwatt_error,
 * which may be NULL. No exception, abort or signal leaves this library; an exception that leaves a
 * callback of yours is caught and taken for FEDWATT_INTERNAL.
 *
 * Structs. Each begins with the version it was compiled for and its size; FEDWATT_INIT sets both
 * and zeroes the rest. Zero always means "the default". Later versions append fields. A newer
 * library takes the structs of an older app; an older library takes those of a newer app as long
 * as what it does not know is zero.
 *
 * Compatibility. FEDWATT_STABLE: keeps its meaning until the major version changes.
 * FEDWATT_UNSTABLE: may change in any version. FEDWATT_DEPRECATED: works, will be removed. */

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* NOLINTBEGIN(modernize-use-using): this is C. */

#define FEDWATT_ABI_VERSION 1u

#if defined(__GNUC__)
#define FEDWATT_EXPORT __attribute__((visibility("default")))
#define FEDWATT_DEPRECATED FEDWATT_EXPORT __attribute__((deprecated))
#else
#define FEDWATT_EXPORT
#define FEDWATT_DEPRECATED
#endif
#define FEDWATT_STABLE FEDWATT_EXPORT
#define FEDWATT_UNSTABLE FEDWATT_EXPORT

#ifdef __cplusplus
#define FEDWATT_INIT(type) \
  type { FEDWATT_ABI_VERSION, sizeof(type) }
#else
#define FEDWATT_INIT(type) \
  { .abi_version = FEDWATT_ABI_VERSION, .struct_size = sizeof(type) }
#endif

/* ---- codes and errors */

/* The numbers are those of gRPC. */
typedef enum fedwatt_code {
  FEDWATT_OK = 0,
  FEDWATT_CANCELLED = 1,
  FEDWATT_UNKNOWN = 2,
  FEDWATT_INVALID_ARGUMENT = 3,  /* a value is wrong; the message names it */
  FEDWATT_DEADLINE_EXCEEDED = 4, /* something did not end in time */
  FEDWATT_NOT_FOUND = 5,
  FEDWATT_PERMISSION_DENIED = 7,
  FEDWATT_RESOURCE_EXHAUSTED = 8, /* memory or disk */
  FEDWATT_FAILED_PRECONDITION = 9,
  FEDWATT_END = 11, /* of a data set: no more examples in this pass */
  FEDWATT_UNIMPLEMENTED = 12,
  FEDWATT_INTERNAL = 13,
  FEDWATT_UNAVAILABLE = 14,
  FEDWATT_DATA_LOSS = 15, /* a file is damaged */
  FEDWATT_UNAUTHENTICATED = 16
} fedwatt_code;

typedef struct fedwatt_error {
  uint32_t abi_version;
  uint32_t struct_size;
  int32_t code;
  char message[1020]; /* UTF-8, ends with a zero; what is wrong, and what to do */
} fedwatt_error;

/* ---- tensors */

typedef enum fedwatt_dtype {
  FEDWATT_F32 = 1,
  FEDWATT_F64,
  FEDWATT_F16,
  FEDWATT_BF16,
  FEDWATT_I64,
  FEDWATT_I32,
  FEDWATT_I16,
  FEDWATT_I8,
  FEDWATT_U8,
  FEDWATT_BOOL
} fedwatt_dtype;

#define FEDWATT_MAX_DIMS 8

/* Values in row-major order, little-endian, without padding. A plain value that never grows. */
typedef struct fedwatt_tensor {
  const void* data;
  int32_t dtype; /* fedwatt_dtype */
  uint32_t dims; /* of `shape` that count; 0: a scalar */
  int64_t shape[FEDWATT_MAX_DIMS];
} fedwatt_tensor;

/* ---- data */

/* Some examples. The first dimension of x and y is `examples`. y is int64 for classes and
 * sequences, float32 like the model's output for regressions. */
typedef struct fedwatt_batch {
  uint32_t abi_version;
  uint32_t struct_size;
  uint64_t examples;
  fedwatt_tensor x;
  fedwatt_tensor y;
} fedwatt_batch;

/* Where examples come from: the one thing that an app has to supply. */
typedef struct fedwatt_data_source {
  uint32_t abi_version;
  uint32_t struct_size;
  void* ctx;
  /* Required. A new pass over `dataset` begins: `next` starts at its first example. */
  int32_t (*rewind)(void* ctx, const char* dataset, fedwatt_error* error);
  /* Required. The next 1 to `max_examples` examples, or FEDWATT_END after the last. What `batch`
   * points to stays valid until the next call of this object. */
  int32_t (*next)(void* ctx, const char* dataset, uint64_t max_examples, fedwatt_batch* batch,
                  fedwatt_error* error);
  /* May be NULL. The client will not call this object again. */
  void (*destroy)(void* ctx);
} fedwatt_data_source;

/* A data set that this device offers to jobs by name. */
typedef struct fedwatt_dataset {
  uint32_t abi_version;
  uint32_t struct_size;
  const char* name;        /* required */
  uint32_t schema_version; /* of its shapes and meanings; 0: 1 */
  uint64_t examples;       /* the coordinator learns their number's bit length only */
} fedwatt_dataset;

/* ---- training */

/* One piece of work. Valid during the call of fedwatt_trainer.run that it was handed to; using it
 * later is found out and refused (FEDWATT_INVALID_ARGUMENT). */
typedef struct fedwatt_task fedwatt_task;

typedef enum fedwatt_task_kind { FEDWATT_TRAIN = 1, FEDWATT_EVALUATE = 2 } fedwatt_task_kind;
typedef enum fedwatt_model_task {
  FEDWATT_CLASSIFICATION = 1,
  FEDWATT_SEQUENCE,
  FEDWATT_REGRESSION
} fedwatt_model_task;
typedef enum fedwatt_optimizer { FEDWATT_SGD = 1, FEDWATT_ADAM, FEDWATT_ADAMW } fedwatt_optimizer;

/* What the job wants done. A trainer that cannot do a part of it returns FEDWATT_UNIMPLEMENTED and
 * names the field: a plan that is half followed spoils the round. */
typedef struct fedwatt_plan {
  uint32_t abi_version;
  uint32_t struct_size;
  int32_t kind;          /* fedwatt_task_kind */
  int32_t model_task;    /* fedwatt_model_task */
  int32_t optimizer;     /* fedwatt_optimizer */
  uint32_t local_epochs; /* exactly one of epochs and steps is positive when training */
  uint32_t local_steps;
  uint32_t batch_size;
  uint64_t max_examples; /* of an evaluation; 0: all */
  double lr;
  double momentum;
  double weight_decay;
  double beta1;
  double beta2;
  double eps;
  int32_t nesterov;
  int32_t evaluate_before; /* measure the loss of the model as it came */
  int32_t evaluate_after;  /* and as it was trained */
  double clip_grad_norm;   /* L2 over all gradients; 0: off */
  double proximal_mu;      /* FedProx: adds mu/2 |w - w0|^2 to the loss; 0: off */
  uint64_t seed;           /* for all randomness of this work: keyed by job, round and client */
  int64_t time_left_ms;
  const char* job; /* texts: valid as long as the task */
  uint64_t round;
  const char* dataset;
  const char* model; /* the bundle's name */
  /* `seed` is made of job, round and these two; here for who wants the same order of examples as
   * other trainers of fedwatt. */
  const char* client;
  uint64_t plan_seed;
  uint64_t evaluate_examples;  /* of evaluate_before and _after; 0: all */
  uint64_t memory_limit_bytes; /* 0: none but the device's */
  int64_t step_time_limit_ms;
  int64_t save_every_ms; /* how often to call fedwatt_task_save; 0: never */
  fedwatt_tensor input;  /* what one example looks like; its data is NULL */
  /* Of the bundle's module, for trainers that run its code: of (x), and of (x, y). */
  const char* forward_method;
  const char* loss_method;
} fedwatt_plan;

/* One tensor of the model. */
typedef struct fedwatt_parameter {
  uint32_t abi_version;
  uint32_t struct_size;
  const char* name;     /* valid as long as the task */
  fedwatt_tensor value; /* as it came; read-only, valid as long as the task */
  int32_t trainable;    /* else a buffer, such as a running average */
  /* Where the result goes: of a trainable tensor float32 of new - old, zeros at first; of a buffer
   * its new value, the old one at first. NULL: nothing is sent of it (frozen, or an evaluation).
   * Valid as long as the task. */
  void* output;
} fedwatt_parameter;

typedef struct fedwatt_losses {
  uint64_t examples; /* 0: not measured */
  double loss_sum;
  double loss_sq_sum; /* of each example's loss, squared */
  uint64_t correct;
  uint64_t predictions; /* what `correct` is out of */
} fedwatt_losses;

typedef struct fedwatt_result {
  uint32_t abi_version;
  uint32_t struct_size;
  uint64_t examples; /* distinct ones that were used: the update's weight. 0 is an error. */
  uint64_t steps;
  fedwatt_losses before; /* an evaluation reports `after` alone */
  fedwatt_losses after;
} fedwatt_result;

/* Does the local work. */
typedef struct fedwatt_trainer {
  uint32_t abi_version;
  uint32_t struct_size;
  void* ctx;
  const char* name; /* required; jobs can ask for it (eligibility.trainer) */
  /* Formats of a bundle's artifacts that it can read. None: any bundle. */
  const char* const* formats;
  size_t format_count;
  /* Required. Blocks until the work is done. Ask fedwatt_task_cancelled after every step: it is
   * true when the device has to stop, and the answer is then FEDWATT_CANCELLED. A step that takes
   * longer than the job's step limit counts as hung: the work is reported as failed, and the
   * trainer gets no more until the call returns. */
  int32_t (*run)(void* ctx, fedwatt_task* task, fedwatt_result* result, fedwatt_error* error);
  void (*destroy)(void* ctx); /* may be NULL */
} fedwatt_trainer;

FEDWATT_STABLE int32_t fedwatt_task_plan(fedwatt_task* task, fedwatt_plan* plan,
                                         fedwatt_error* error);

/* 0 for what is not a task. */
FEDWATT_STABLE size_t fedwatt_task_parameter_count(fedwatt_task* task);
FEDWATT_STABLE int32_t fedwatt_task_parameter(fedwatt_task* task, size_t index,
                                              fedwatt_parameter* parameter, fedwatt_error* error);

/* The bundle's artifact of this format (code, or whatever the job's owner put there): its signature
 * is verified. FEDWATT_NOT_FOUND if it has none. Valid as long as the task. */
FEDWATT_STABLE int32_t fedwatt_task_artifact(fedwatt_task* task, const char* format,
                                             const void** data, size_t* bytes,
                                             fedwatt_error* error);

/* A new pass over the task's data set. To be called before the first fedwatt_task_next. */
FEDWATT_STABLE int32_t fedwatt_task_rewind(fedwatt_task* task, fedwatt_error* error);

/* The next examples of the data source, checked: shape and dtype are what the model takes (as many
 * elements an example), sizes add up. FEDWATT_END after the last. Valid until the next call for
 * this task. */
FEDWATT_STABLE int32_t fedwatt_task_next(fedwatt_task* task, uint64_t max_examples,
                                         fedwatt_batch* batch, fedwatt_error* error);

/* A step is done. `steps_total` 0: unknown. */
FEDWATT_STABLE int32_t fedwatt_task_progress(fedwatt_task* task, uint64_t steps_done,
                                             uint64_t steps_total, double loss,
                                             fedwatt_error* error);

/* A value of your own for the report, averaged over clients; at most 64, finite. */
FEDWATT_STABLE int32_t fedwatt_task_metric(fedwatt_task* task, const char* name, double value,
                                           fedwatt_error* error);

/* 1: stop and return FEDWATT_CANCELLED. Also 1 for what is not a task. */
FEDWATT_STABLE int32_t fedwatt_task_cancelled(fedwatt_task* task);

/* How far a training has come, so that it goes on there when this process ended in the middle: kill
 * -9, a loss of power, or a client that was closed. What is saved belongs to this task alone, in
 * any form you like; it replaces what was saved before, and is removed with the task. `steps` are
 * done in it. Not synced: after a loss of power it may be gone. An error (RESOURCE_EXHAUSTED: the
 * disk is full) leaves the old one, and is no reason to stop. FAILED_PRECONDITION: this task is not
 * to be saved (plan.save_every_ms is 0). */
FEDWATT_UNSTABLE int32_t fedwatt_task_save(fedwatt_task* task, const void* data, size_t bytes,
                                           uint64_t steps, fedwatt_error* error);

/* What was saved, whole and unchanged. FEDWATT_NOT_FOUND: nothing; begin at the start. Valid until
 * fedwatt_task_save. */
FEDWATT_UNSTABLE int32_t fedwatt_task_saved(fedwatt_task* task, const void** data, size_t* bytes,
                                            fedwatt_error* error);

/* ---- energy and conditions */

typedef enum fedwatt_energy_scope {
  FEDWATT_SCOPE_PROCESS = 1,
  FEDWATT_SCOPE_PACKAGE,
  FEDWATT_SCOPE_BOARD,
  FEDWATT_SCOPE_DEVICE
} fedwatt_energy_scope;

/* What the platform says of joules, for example Android's PowerMonitor. Without one the client
 * looks for a meter of its own; without any, energy is reported as unavailable, which is not 0. */
typedef struct fedwatt_meter {
  uint32_t abi_version;
  uint32_t struct_size;
  void* ctx;
  int32_t scope;     /* fedwatt_energy_scope, required */
  int64_t update_us; /* how often the platform renews the figure; 0: every second */
  /* Required. Microjoules since any start, never falling. Must not block. An error is a gap, not
   * zero. */
  int32_t (*total_uj)(void* ctx, int64_t* energy_uj, fedwatt_error* error);
  void (*destroy)(void* ctx); /* may be NULL */
} fedwatt_meter;

/* The device as it is now. It comes with everything unknown. Exact figures stay on the device. */
typedef struct fedwatt_device_state {
  uint32_t abi_version;
  uint32_t struct_size;
  int32_t charging;     /* on external power: 1, 0; -1: unknown */
  int32_t metered;      /* the network costs by the byte: 1, 0; -1: unknown */
  double charge;        /* 0 to 1; negative: unknown */
  double capacity_wh;   /* of the full battery; negative: unknown */
  double temperature_c; /* of the hottest part; below -273: unknown */
  double load;          /* 0 to 1, processors busy with other things; negative: unknown */
} fedwatt_device_state;

typedef struct fedwatt_conditions {
  uint32_t abi_version;
  uint32_t struct_size;
  void* ctx;
  /* Required. Called every few seconds, also during training. Must not block. An error: all is
   * unknown. */
  int32_t (*read)(void* ctx, fedwatt_device_state* state, fedwatt_error* error);
  void (*destroy)(void* ctx); /* may be NULL */
} fedwatt_conditions;

/* When the device's owner lets it work. What is unknown breaks no rule. */
typedef struct fedwatt_rules {
  uint32_t abi_version;
  uint32_t struct_size;
  int32_t require_charging;
  int32_t allow_metered;
  double min_charge;        /* 0 to 1, does not bind on external power; 0: no floor */
  double max_temperature_c; /* 0: no limit */
  double max_load;          /* 0 to 1; 0: no limit */
} fedwatt_rules;

/* ---- what the client says */

typedef enum fedwatt_log_level {
  FEDWATT_DEBUG = 1,
  FEDWATT_INFO,
  FEDWATT_WARNING,
  FEDWATT_ERROR
} fedwatt_log_level;

typedef enum fedwatt_event_kind {
  FEDWATT_EVENT_RECOVERED = 1, /* work of an earlier run was found */
  FEDWATT_EVENT_PROBLEM,       /* something here is damaged or cannot be written */
  FEDWATT_EVENT_WAITING,       /* nothing to do for delay_ms; `code` is why, if it was an error */
  FEDWATT_EVENT_DENIED,        /* the coordinator refuses this client */
  FEDWATT_EVENT_ASSIGNED,
  FEDWATT_EVENT_DOWNLOADING,
  FEDWATT_EVENT_TRAINING,
  FEDWATT_EVENT_PROGRESS, /* steps_done of steps_total, loss */
  FEDWATT_EVENT_TRAINED,
  FEDWATT_EVENT_FAILED, /* will be reported */
  FEDWATT_EVENT_UPLOADING,
  FEDWATT_EVENT_REPORTED,
  FEDWATT_EVENT_COMMITTED, /* the update counted */
  FEDWATT_EVENT_DROPPED,   /* it did not, which is no error; text says why */
  FEDWATT_EVENT_CONDITIONS,
  FEDWATT_EVENT_STOPPED,
  FEDWATT_EVENT_OTHER
} fedwatt_event_kind;

/* Pointers are valid during the call. */
typedef struct fedwatt_event {
  uint32_t abi_version;
  uint32_t struct_size;
  int32_t kind; /* fedwatt_event_kind; ignore what you do not know */
  int32_t code; /* fedwatt_code */
  const char* assignment;
  const char* text; /* one line for people */
  int64_t delay_ms;
  uint64_t steps_done;
  uint64_t steps_total;
  double loss;
} fedwatt_event;

typedef struct fedwatt_listener {
  uint32_t abi_version;
  uint32_t struct_size;
  void* ctx;
  /* Each may be NULL. */
  void (*log)(void* ctx, int32_t level, const char* line);
  void (*event)(void* ctx, const fedwatt_event* event);
  /* Something happened: call fedwatt_client_tick soon. From any thread, also while another call of
   * this object is under way; not after run_in_background. Must only signal your loop: no call into
   * this library is allowed in here. */
  void (*wake)(void* ctx);
  void (*destroy)(void* ctx);
} fedwatt_listener;

/* ---- the client */

typedef struct fedwatt_client fedwatt_client;

typedef struct fedwatt_label {
  const char* key;
  const char* value;
} fedwatt_label;

typedef struct fedwatt_options {
  uint32_t abi_version;
  uint32_t struct_size;

  const char* server; /* required: host:port */
  /* Who this device is: three files in PEM, read before each connection, so that a renewed
   * certificate is used without a restart. The identity is the certificate's SAN URI. */
  const char* ca_file;
  const char* certificate_file;
  const char* key_file;
  /* Instead: no TLS, as this subject. Loopback only, for tests. */
  const char* insecure_subject;

  /* Required: a folder of this client's own; created, locked, survives kill -9. */
  const char* state_dir;
  uint64_t cache_limit_bytes; /* of models kept; 0: 2 GiB */
  int32_t no_sync;            /* 1: survives the end of the process, but no loss of power */

  /* Required: public keys in PEM whose bundles may run here. */
  const char* const* trusted_keys;
  size_t trusted_key_count;

  const fedwatt_dataset* const* datasets; /* required: at least one */
  size_t dataset_count;
  const fedwatt_data_source* data; /* required */

  /* Exactly one: a trainer of yours; that of <fedwatt/portable.h>, which is one, too, and trains
   * models that carry a training graph; or the program fedwatt-torch, which trains TorchScript in a
   * process of its own (<fedwatt/torch_in_process.h>: in yours, for trusted models only). */
  const fedwatt_trainer* trainer;
  const char* torch_program;     /* its path */
  uint64_t trainer_memory_bytes; /* limit of that process; 0: 4 GiB */

  const fedwatt_meter* meter;           /* NULL: this host's own, if it has one */
  int32_t no_meter;                     /* 1: none at all */
  const fedwatt_conditions* conditions; /* NULL: this host's sensors */
  const fedwatt_rules* rules;           /* NULL: no rules, and metered networks are not used */
  const fedwatt_listener* listener;     /* may be NULL */

  const char* app_version;
  const char* tenant;     /* NULL: "default" */
  const char* population; /* NULL: "default" */
  const char* device_class;
  const fedwatt_label* labels;
  size_t label_count;
  /* The user's consent: 0 (FEDWATT_INIT leaves it there) nothing of the device but the work itself;
   * 1 to 3 also buckets of battery and link and a round's joules and seconds. */
  uint32_t telemetry_level;
  int64_t long_poll_ms; /* how long a check-in may be held open; 0: 20 s */
  int64_t callback_ms;  /* your data source may take so long for one batch; 0: 60 s */
  /* How often training keeps in the state folder how far it has come, so that it goes on there
   * after the process ended in the middle; 0: every 30 s, -1: never. */
  int64_t checkpoint_ms;
  /* How long training that the rules stop is kept, if it has come to a checkpoint, to go on when
   * they are met again; 0: it is given up at once, so that the round need not wait. */
  int64_t pause_ms;
} fedwatt_options;

/* Checks everything that can be checked, takes the lock, reads the state folder; neither connects
 * nor starts a thread of yours. On success `*client` is to be closed. On an error it is NULL, and
 * no `destroy` of your objects is called.
 *
 * INVALID_ARGUMENT names the field. FAILED_PRECONDITION: another client uses the folder, or a newer
 * version wrote it. PERMISSION_DENIED, RESOURCE_EXHAUSTED: the folder cannot be written, the disk
 * is full. NOT_FOUND: a file that you named. DATA_LOSS: the folder is damaged beyond use. */
FEDWATT_STABLE int32_t fedwatt_client_open(const fedwatt_options* options, fedwatt_client** client,
                                           fedwatt_error* error);

/* Your loop: does what there is to do now without blocking (training runs on a thread of the
 * client's), and says in how many milliseconds it wants to be called again; -1: only after
 * fedwatt_listener.wake. Calling early does no harm. Without a `wake` call it at least every 50 ms.
 *
 * FAILED_PRECONDITION: a tick is running, or the background runner is. Any other error: the client
 * cannot go on (out of memory, for example) and is to be closed; its state folder is sound. */
FEDWATT_STABLE int32_t fedwatt_client_tick(fedwatt_client* client, int64_t* next_wake_ms,
                                           fedwatt_error* error);

/* Instead: a thread of the client's does it. */
FEDWATT_STABLE int32_t fedwatt_client_run_in_background(fedwatt_client* client,
                                                        fedwatt_error* error);

/* The device needs its resources back now: what is being fetched or trained is given up and
 * reported as cancelled with `reason`. Nothing happens if there is none. */
FEDWATT_STABLE int32_t fedwatt_client_cancel_work(fedwatt_client* client, const char* reason,
                                                  fedwatt_error* error);

typedef struct fedwatt_counts {
  uint32_t abi_version;
  uint32_t struct_size;
  uint64_t assigned;
  uint64_t trained;
  uint64_t reported;
  uint64_t committed;
  uint64_t dropped;
  uint64_t failed;
  uint64_t problems;
} fedwatt_counts;

/* What has happened since the client was opened. */
FEDWATT_STABLE int32_t fedwatt_client_counts(fedwatt_client* client, fedwatt_counts* counts,
                                             fedwatt_error* error);

/* Ends training within a step and transfers at once, keeps all state, calls `destroy` of your
 * objects, and frees the client: the handle is refused from then on. Not from inside of a callback
 * (FAILED_PRECONDITION; the client lives on). DEADLINE_EXCEEDED: a callback of yours has not come
 * back in `timeout_ms`; the client is closed all the same, and the objects that hang are destroyed
 * when they come back: until then their ctx must stay valid. */
FEDWATT_STABLE int32_t fedwatt_client_close(fedwatt_client* client, int64_t timeout_ms,
                                            fedwatt_error* error);

/* ---- the library */

/* FEDWATT_ABI_VERSION of the library that runs. */
FEDWATT_STABLE uint32_t fedwatt_abi_version(void);
/* "0.1.0"; valid for ever. */
FEDWATT_STABLE const char* fedwatt_version(void);
/* "INVALID_ARGUMENT"; valid for ever. */
FEDWATT_STABLE const char* fedwatt_code_name(int32_t code);
/* Bytes of one element; 0 for what is no dtype. */
FEDWATT_STABLE size_t fedwatt_dtype_bytes(int32_t dtype);
/* Fills `error`, for callbacks: cuts the message at its size, never in the middle of a character.
 * Returns `code`. `error` may be NULL. */
FEDWATT_STABLE int32_t fedwatt_fail(fedwatt_error* error, int32_t code, const char* message);

/* Where fedwatt-torch was installed beside this library, or "" if it was not. Valid for ever. */
FEDWATT_UNSTABLE const char* fedwatt_torch_program(void);

/* NOLINTEND(modernize-use-using) */

#ifdef __cplusplus
}
#endif

#endif /* FEDWATT_FEDWATT_H_ */
