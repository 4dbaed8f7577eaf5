/* An app in C99 that trains models which it knows nothing of: it supplies the next batch, and the
 * trainer without LibTorch does the rest. A job brings model, plan and loss.
 *
 *   any_model_c HOST:PORT CERTS NAME STATE_DIR ROUNDS
 *
 * CERTS is a folder from `fedwatt certs`, NAME one of its client certificates. Ends with 0 once so
 * many updates of this device counted, with 1 on any error. */

#include <fedwatt/portable.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define INPUTS 4
#define EXAMPLES 64
#define MAX_TEXT 4096

/* ---- the app's data: y = 1 x0 - 2 x1 + 3 x2 - 4 x3 + 0.5 */

typedef struct {
  float x[EXAMPLES][INPUTS];
  float y[EXAMPLES];
  size_t next;
} examples;

static void make_examples(examples* data, const char* seed) {
  static const float weight[INPUTS] = {1, -2, 3, -4};
  unsigned state = 1;
  for (; *seed != '\0'; ++seed) state = state * 31u + (unsigned char)*seed;
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
  if (strcmp(dataset, "points") != 0) {
    return fedwatt_fail(error, FEDWATT_NOT_FOUND, "this app has points only");
  }
  ((examples*)ctx)->next = 0;
  return FEDWATT_OK;
}

static int32_t next_data(void* ctx, const char* dataset, uint64_t max_examples,
                         fedwatt_batch* batch, fedwatt_error* error) {
  examples* data = ctx;
  size_t n = EXAMPLES - data->next;
  (void)dataset;
  (void)error;
  if (n == 0) return FEDWATT_END;
  if (n > max_examples) n = (size_t)max_examples;
  batch->examples = n;
  batch->x = (fedwatt_tensor){data->x[data->next], FEDWATT_F32, 2, {(int64_t)n, INPUTS}};
  batch->y = (fedwatt_tensor){data->y + data->next, FEDWATT_F32, 2, {(int64_t)n, 1}};
  data->next += n;
  return FEDWATT_OK;
}

/* ---- the app */

static void say(void* ctx, int32_t level, const char* line) {
  (void)ctx;
  fprintf(stderr, "%s%s\n", level >= FEDWATT_WARNING ? "WARNING " : "", line);
}

/* The client has a thread of its own; an app would go about its business meanwhile. */
static int wait_for(fedwatt_client* client, uint64_t rounds, fedwatt_error* error) {
  const struct timespec moment = {0, 50000000};
  fedwatt_counts counts = FEDWATT_INIT(fedwatt_counts);
  if (fedwatt_client_run_in_background(client, error) != FEDWATT_OK) return 1;
  while (counts.committed < rounds) {
    nanosleep(&moment, NULL);
    if (fedwatt_client_counts(client, &counts, error) != FEDWATT_OK) return 1;
  }
  printf("%llu updates counted\n", (unsigned long long)counts.committed);
  return 0;
}

static int read_text(const char* path, char* text, size_t size) {
  FILE* file = fopen(path, "rb");
  if (file == NULL) return 1;
  text[fread(text, 1, size - 1, file)] = '\0';
  return fclose(file);
}

int main(int argc, char** argv) {
  if (argc != 6) {
    fprintf(stderr, "usage: any_model_c HOST:PORT CERTS NAME STATE_DIR ROUNDS\n");
    return 2;
  }
  char ca[MAX_TEXT];
  char certificate[MAX_TEXT];
  char key[MAX_TEXT];
  char owner_path[MAX_TEXT];
  char owner[MAX_TEXT];
  snprintf(ca, sizeof(ca), "%s/ca.pem", argv[2]);
  snprintf(certificate, sizeof(certificate), "%s/%s.pem", argv[2], argv[3]);
  snprintf(key, sizeof(key), "%s/%s.key", argv[2], argv[3]);
  snprintf(owner_path, sizeof(owner_path), "%s/owner.pub", argv[2]);
  if (read_text(owner_path, owner, sizeof(owner)) != 0) {
    fprintf(stderr, "cannot read %s\n", owner_path);
    return 1;
  }

  examples points;
  make_examples(&points, argv[3]);
  fedwatt_data_source data = FEDWATT_INIT(fedwatt_data_source);
  data.ctx = &points;
  data.rewind = rewind_data;
  data.next = next_data;
  fedwatt_dataset dataset = FEDWATT_INIT(fedwatt_dataset);
  dataset.name = "points";
  dataset.examples = EXAMPLES;
  const fedwatt_dataset* datasets[] = {&dataset};
  const char* keys[] = {owner};
  fedwatt_listener listener = FEDWATT_INIT(fedwatt_listener);
  listener.log = say;
  fedwatt_error error = FEDWATT_INIT(fedwatt_error);
  fedwatt_trainer trainer = FEDWATT_INIT(fedwatt_trainer);
  int failed = fedwatt_portable_trainer(0, &trainer, &error) != FEDWATT_OK;

  fedwatt_options options = FEDWATT_INIT(fedwatt_options);
  options.server = argv[1];
  options.ca_file = ca;
  options.certificate_file = certificate;
  options.key_file = key;
  options.state_dir = argv[4];
  options.trusted_keys = keys;
  options.trusted_key_count = 1;
  options.datasets = datasets;
  options.dataset_count = 1;
  options.data = &data;
  options.trainer = &trainer;
  options.listener = &listener;
  options.long_poll_ms = 2000; /* so that this example hears of its last update soon */

  fedwatt_client* client = NULL;
  if (!failed && fedwatt_client_open(&options, &client, &error) != FEDWATT_OK) {
    trainer.destroy(trainer.ctx);
    failed = 1;
  }
  if (!failed) {
    failed = wait_for(client, strtoull(argv[5], NULL, 10), &error);
    if (fedwatt_client_close(client, 5000, &error) != FEDWATT_OK) failed = 1;
  }
  if (failed) fprintf(stderr, "%s: %s\n", fedwatt_code_name(error.code), error.message);
  return failed;
}
