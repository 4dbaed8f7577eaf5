/* The smallest app with the SDK, for fedwatt-bench: opens a client, says so, and lets it run in the
 * background until its standard input ends.
 *
 *   bench_sdk_app HOST:PORT CERTS NAME STATE_DIR LONG_POLL_MS */

#include <fedwatt/fedwatt.h>
#include <stdio.h>
#include <stdlib.h>

static int32_t rewind_data(void* ctx, const char* dataset, fedwatt_error* error) {
  (void)ctx;
  (void)dataset;
  (void)error;
  return FEDWATT_OK;
}

static int32_t next_data(void* ctx, const char* dataset, uint64_t max_examples,
                         fedwatt_batch* batch, fedwatt_error* error) {
  (void)ctx;
  (void)dataset;
  (void)max_examples;
  (void)batch;
  (void)error;
  return FEDWATT_END;
}

static int32_t run(void* ctx, fedwatt_task* task, fedwatt_result* result, fedwatt_error* error) {
  (void)ctx;
  (void)task;
  (void)result;
  return fedwatt_fail(error, FEDWATT_UNIMPLEMENTED, "this app measures an idle client");
}

/* The client is told to wait: what it does from now on is idling. */
static void tell(void* ctx, const fedwatt_event* event) {
  (void)ctx;
  if (event->kind == FEDWATT_EVENT_WAITING) {
    printf("waiting %lld\n", (long long)event->delay_ms);
    fflush(stdout);
  }
}

static int complain(const fedwatt_error* error) {
  fprintf(stderr, "%s: %s\n", fedwatt_code_name(error->code), error->message);
  return 1;
}

int main(int argc, char** argv) {
  char ca[1024];
  char certificate[1024];
  char key[1024];
  char owner[4096];
  char owner_path[1024];
  if (argc != 6) return 2;
  snprintf(ca, sizeof(ca), "%s/ca.pem", argv[2]);
  snprintf(certificate, sizeof(certificate), "%s/%s.pem", argv[2], argv[3]);
  snprintf(key, sizeof(key), "%s/%s.key", argv[2], argv[3]);
  snprintf(owner_path, sizeof(owner_path), "%s/owner.pub", argv[2]);
  FILE* file = fopen(owner_path, "rb");
  if (file == NULL) return 1;
  owner[fread(owner, 1, sizeof(owner) - 1, file)] = '\0';
  fclose(file);
  const char* const keys[] = {owner};

  fedwatt_data_source data = FEDWATT_INIT(fedwatt_data_source);
  data.rewind = rewind_data;
  data.next = next_data;
  fedwatt_trainer trainer = FEDWATT_INIT(fedwatt_trainer);
  trainer.name = "idle";
  trainer.run = run;
  fedwatt_listener listener = FEDWATT_INIT(fedwatt_listener);
  listener.event = tell;
  fedwatt_dataset dataset = FEDWATT_INIT(fedwatt_dataset);
  dataset.name = "bench";
  dataset.examples = 100;
  const fedwatt_dataset* const datasets[] = {&dataset};
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
  options.long_poll_ms = atoll(argv[5]);

  fedwatt_error error = FEDWATT_INIT(fedwatt_error);
  fedwatt_client* client = NULL;
  puts("start");
  fflush(stdout);
  if (fedwatt_client_open(&options, &client, &error) != FEDWATT_OK) return complain(&error);
  if (fedwatt_client_run_in_background(client, &error) != FEDWATT_OK) return complain(&error);
  while (getchar() != EOF) {
  }
  if (fedwatt_client_close(client, 5000, &error) != FEDWATT_OK) return complain(&error);
  return 0;
}
