/* An app in C99 that takes part in federated learning with a trainer of its own: linear regression
 * by gradient descent, y = w x + b. The app owns its loop and ticks the client in it.
 *
 *   linear HOST:PORT CERTS NAME STATE_DIR ROUNDS
 *
 * CERTS is a folder from `fedwatt certs`, NAME one of its client certificates. Ends with 0 once so
 * many updates of this device counted, with 1 on any error. */

#include <fedwatt/fedwatt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define INPUTS 4
#define EXAMPLES 64
#define MAX_TEXT 4096

/* ---- the app's data: y = 1 x0 - 2 x1 + 3 x2 - 4 x3 + 0.5 */

typedef struct {
  float x[EXAMPLES][INPUTS];
  float y[EXAMPLES];
  size_t next;
} examples;

static void make_examples(examples* data, unsigned seed) {
  static const float weight[INPUTS] = {1, -2, 3, -4};
  unsigned state = seed * 2654435761u + 1;
  for (size_t i = 0; i < EXAMPLES; ++i) {
    data->y[i] = 0.5f;
    for (size_t j = 0; j < INPUTS; ++j) {
      state = state * 1664525u + 1013904223u;
      data->x[i][j] = (float)(state >> 8) / 8388608.0f - 1;
      data->y[i] += weight[j] * data->x[i][j];
    }
  }
}

static int32_t rewind_data(void* ctx, const char* dataset, fedwatt_error* error) {
  (void)dataset;
  (void)error;
  ((examples*)ctx)->next = 0;
  return FEDWATT_OK;
}

static int32_t next_data(void* ctx, const char* dataset, uint64_t max_examples,
                         fedwatt_batch* batch, fedwatt_error* error) {
  examples* data = ctx;
  (void)error;
  if (strcmp(dataset, "points") != 0) {
    return fedwatt_fail(error, FEDWATT_NOT_FOUND, "this app has points only");
  }
  if (data->next == EXAMPLES) return FEDWATT_END;
  size_t n = EXAMPLES - data->next;
  if (n > max_examples) n = (size_t)max_examples;
  batch->examples = n;
  batch->x = (fedwatt_tensor){data->x[data->next], FEDWATT_F32, 2, {(int64_t)n, INPUTS}};
  batch->y = (fedwatt_tensor){data->y + data->next, FEDWATT_F32, 2, {(int64_t)n, 1}};
  data->next += n;
  return FEDWATT_OK;
}

/* ---- the app's trainer */

typedef struct {
  float weight[INPUTS];
  float bias;
} linear;

static float predict(const linear* model, const float* x) {
  float y = model->bias;
  for (size_t j = 0; j < INPUTS; ++j) y += model->weight[j] * x[j];
  return y;
}

/* One pass over the data: the loss, and with a learning rate a step after each batch. */
static int32_t pass(fedwatt_task* task, const fedwatt_plan* plan, linear* model, double lr,
                    fedwatt_losses* losses, uint64_t* steps, fedwatt_error* error) {
  int32_t code = fedwatt_task_rewind(task, error);
  memset(losses, 0, sizeof(*losses));
  while (code == FEDWATT_OK) {
    fedwatt_batch batch = FEDWATT_INIT(fedwatt_batch);
    code = fedwatt_task_next(task, plan->batch_size, &batch, error);
    if (code != FEDWATT_OK) break;
    linear gradient = {{0}, 0};
    for (uint64_t i = 0; i < batch.examples; ++i) {
      const float* x = (const float*)batch.x.data + i * INPUTS;
      const float wrong = predict(model, x) - ((const float*)batch.y.data)[i];
      for (size_t j = 0; j < INPUTS; ++j) gradient.weight[j] += wrong * x[j];
      gradient.bias += wrong;
      losses->loss_sum += 0.5 * wrong * wrong;
      losses->loss_sq_sum += 0.25 * wrong * wrong * wrong * wrong;
    }
    losses->examples += batch.examples;
    if (lr == 0) continue;
    const float scale = (float)(lr / (double)batch.examples);
    for (size_t j = 0; j < INPUTS; ++j) model->weight[j] -= scale * gradient.weight[j];
    model->bias -= scale * gradient.bias;
    fedwatt_task_progress(task, ++*steps, 0, losses->loss_sum, NULL);
    if (fedwatt_task_cancelled(task)) return FEDWATT_CANCELLED;
  }
  return code == FEDWATT_END ? FEDWATT_OK : code;
}

static int32_t run(void* ctx, fedwatt_task* task, fedwatt_result* result, fedwatt_error* error) {
  fedwatt_plan plan = FEDWATT_INIT(fedwatt_plan);
  fedwatt_parameter weight = FEDWATT_INIT(fedwatt_parameter);
  fedwatt_parameter bias = FEDWATT_INIT(fedwatt_parameter);
  linear model;
  (void)ctx;
  int32_t code = fedwatt_task_plan(task, &plan, error);
  if (code == FEDWATT_OK) code = fedwatt_task_parameter(task, 0, &weight, error);
  if (code == FEDWATT_OK) code = fedwatt_task_parameter(task, 1, &bias, error);
  if (code != FEDWATT_OK) return code;
  if (plan.optimizer != FEDWATT_SGD || plan.momentum != 0 || plan.local_epochs == 0) {
    return fedwatt_fail(error, FEDWATT_UNIMPLEMENTED,
                        "plan: this trainer does epochs of plain SGD only");
  }
  memcpy(model.weight, weight.value.data, sizeof(model.weight));
  memcpy(&model.bias, bias.value.data, sizeof(model.bias));

  fedwatt_losses during;
  uint64_t steps = 0;
  code = pass(task, &plan, &model, 0, &result->before, &steps, error);
  for (uint32_t epoch = 0; code == FEDWATT_OK && epoch < plan.local_epochs; ++epoch) {
    code = pass(task, &plan, &model, plan.lr, &during, &steps, error);
  }
  if (code == FEDWATT_OK) code = pass(task, &plan, &model, 0, &result->after, &steps, error);
  if (code != FEDWATT_OK) return code;
  result->examples = result->after.examples;
  result->steps = steps;
  if (plan.kind == FEDWATT_EVALUATE) return FEDWATT_OK;
  for (size_t j = 0; j < INPUTS; ++j) {
    ((float*)weight.output)[j] = model.weight[j] - ((const float*)weight.value.data)[j];
  }
  *(float*)bias.output = model.bias - *(const float*)bias.value.data;
  return FEDWATT_OK;
}

/* ---- the app's loop */

static void say(void* ctx, int32_t level, const char* line) {
  (void)ctx;
  fprintf(stderr, "%s%s\n", level >= FEDWATT_WARNING ? "WARNING " : "", line);
}

static void wake(void* ctx) {
  const char byte = 1;
  if (write(((int*)ctx)[1], &byte, 1) < 0) {
    /* The pipe is full: the loop is woken already. */
  }
}

static int loop(fedwatt_client* client, int wake_fd, uint64_t rounds, fedwatt_error* error) {
  fedwatt_counts counts = FEDWATT_INIT(fedwatt_counts);
  while (counts.committed < rounds) {
    int64_t next_ms = 0;
    if (fedwatt_client_tick(client, &next_ms, error) != FEDWATT_OK) return 1;
    struct pollfd ready = {wake_fd, POLLIN, 0};
    if (poll(&ready, 1, next_ms > 60000 ? 60000 : (int)next_ms) > 0) {
      char bytes[64];
      if (read(wake_fd, bytes, sizeof(bytes)) < 0) return 1;
    }
    if (fedwatt_client_counts(client, &counts, error) != FEDWATT_OK) return 1;
  }
  printf("%llu updates counted\n", (unsigned long long)counts.committed);
  return 0;
}

static char* read_text(const char* folder, const char* name) {
  static char text[MAX_TEXT];
  char path[MAX_TEXT];
  snprintf(path, sizeof(path), "%s/%s", folder, name);
  FILE* file = fopen(path, "rb");
  if (file == NULL) return NULL;
  text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
  fclose(file);
  return text;
}

int main(int argc, char** argv) {
  if (argc != 6) {
    fprintf(stderr, "usage: linear HOST:PORT CERTS NAME STATE_DIR ROUNDS\n");
    return 2;
  }
  char ca[MAX_TEXT];
  char certificate[MAX_TEXT];
  char key[MAX_TEXT];
  snprintf(ca, sizeof(ca), "%s/ca.pem", argv[2]);
  snprintf(certificate, sizeof(certificate), "%s/%s.pem", argv[2], argv[3]);
  snprintf(key, sizeof(key), "%s/%s.key", argv[2], argv[3]);
  const char* owner = read_text(argv[2], "owner.pub");

  int wake_pipe[2];
  examples points;
  make_examples(&points, (unsigned)strlen(argv[3]) + (unsigned char)argv[3][strlen(argv[3]) - 1]);
  if (pipe(wake_pipe) != 0) return 1;

  fedwatt_data_source data = FEDWATT_INIT(fedwatt_data_source);
  data.ctx = &points;
  data.rewind = rewind_data;
  data.next = next_data;
  fedwatt_dataset dataset = FEDWATT_INIT(fedwatt_dataset);
  dataset.name = "points";
  dataset.examples = EXAMPLES;
  const fedwatt_dataset* datasets[] = {&dataset};
  static const char* const formats[] = {"linear"};
  fedwatt_trainer trainer = FEDWATT_INIT(fedwatt_trainer);
  trainer.name = "linear";
  trainer.formats = formats;
  trainer.format_count = 1;
  trainer.run = run;
  fedwatt_listener listener = FEDWATT_INIT(fedwatt_listener);
  listener.ctx = wake_pipe;
  listener.log = say;
  listener.wake = wake;

  fedwatt_options options = FEDWATT_INIT(fedwatt_options);
  options.server = argv[1];
  options.ca_file = ca;
  options.certificate_file = certificate;
  options.key_file = key;
  options.state_dir = argv[4];
  options.trusted_keys = &owner;
  options.trusted_key_count = owner == NULL ? 0 : 1;
  options.datasets = datasets;
  options.dataset_count = 1;
  options.data = &data;
  options.trainer = &trainer;
  options.listener = &listener;
  options.telemetry_level = 1;
  options.long_poll_ms = 2000; /* so that this example hears of its last update soon */

  fedwatt_error error = FEDWATT_INIT(fedwatt_error);
  fedwatt_client* client = NULL;
  int failed = fedwatt_client_open(&options, &client, &error) != FEDWATT_OK;
  if (!failed) {
    failed = loop(client, wake_pipe[0], strtoull(argv[5], NULL, 10), &error);
    if (failed) fprintf(stderr, "%s: %s\n", fedwatt_code_name(error.code), error.message);
    if (fedwatt_client_close(client, 5000, &error) != FEDWATT_OK) failed = 1;
  }
  if (failed) fprintf(stderr, "%s: %s\n", fedwatt_code_name(error.code), error.message);
  return failed;
}
