// fedwatt-torch: makes, checks and evaluates model bundles, and trains for fedwatt-client.

#include <CLI/CLI.hpp>
#include <cstdio>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/str_join.h"
#include "client/trainers/torch/tool/commands.h"
#include "common/base/status_util.h"

namespace fedwatt::tool {
namespace {

constexpr char kExitCodes[] =
    "Exit codes: 0 done; 1 failed; 2 wrong usage; 3 the model or the data was refused;\n"
    "4 no such file.";

struct Invocation {
  CommonArgs common;
  std::function<absl::Status()> run;
};

CLI::App* AddCommand(CLI::App& app, Invocation* invocation, const std::string& name,
                     const std::string& what, const std::string& example) {
  CLI::App* command = app.add_subcommand(name, what);
  command->add_flag("--json", invocation->common.json, "Print one JSON object");
  command->footer("Example:\n  " + example + "\n\n" + kExitCodes);
  return command;
}

void AddAllowOp(CLI::App* command, Invocation* invocation) {
  command
      ->add_option("--allow-op", invocation->common.allow_ops,
                   "Also allow this operator, for example aten::logspace (repeatable)")
      ->type_name("OP")
      ->allow_extra_args(false);
}

void AddOutput(CLI::App* command, std::string* output, const std::string& what) {
  command->add_option("-o,--output", *output, what)->required()->type_name("FILE");
}

void AddKey(CLI::App* command, std::string* key) {
  command
      ->add_option("--key", *key,
                   "Sign with this Ed25519 key, made by fedwatt certs keys; unsigned without")
      ->type_name("PEM");
}

void AddNew(CLI::App& app, Invocation* invocation, NewArgs* args) {
  CLI::App* command =
      AddCommand(app, invocation, "new", "Make a built-in model, without Python",
                 "fedwatt-torch new mcmahan-cnn -o model.fwb --key certs/owner.key");
  command->add_option("MODEL", args->model, absl::StrJoin(ZooNames(), " | "))->required();
  AddOutput(command, &args->output, "Bundle file to write");
  AddKey(command, &args->key);
  command->add_option("--name", args->name, "Name in the bundle (default: the model's)");
  command->add_option("--seed", args->seed, "Of the initial parameters")->capture_default_str();
  command->add_option("--classes", args->zoo.classes, "Outputs of the CNNs and of mlp")
      ->capture_default_str();
  command->add_option("--hidden", args->zoo.hidden, "Widths of mlp's hidden layers: 32 or 64,32")
      ->delimiter(',')
      ->capture_default_str();
  command->add_option("--input-shape", args->zoo.input_shape, "Of one example, for mlp")
      ->delimiter(',')
      ->capture_default_str();
  command->add_option("--vocabulary", args->zoo.vocabulary, "Character codes of char-lstm")
      ->capture_default_str();
  command->add_option("--sequence-length", args->zoo.sequence_length, "Characters per example")
      ->capture_default_str();
  command->callback(
      [invocation, args] { invocation->run = [=] { return RunNew(*args, invocation->common); }; });
}

void AddImport(CLI::App& app, Invocation* invocation, ImportArgs* args) {
  CLI::App* command = AddCommand(
      app, invocation, "import",
      "Make a bundle of a module that Python exported with torch.jit.script (docs/models.md)",
      "fedwatt-torch import net.pt -o net.fwb --name net --task classification "
      "--input-shape 1,28,28");
  command->add_option("FILE", args->file, "TorchScript archive")->required();
  AddOutput(command, &args->output, "Bundle file to write");
  AddKey(command, &args->key);
  command->add_option("--name", args->name, "Name in the bundle")->required();
  command->add_option("--description", args->description, "For people");
  command->add_option("--task", args->task, "classification | sequence | regression")
      ->capture_default_str();
  command->add_option("--input-shape", args->input_shape, "Of one example, without the batch")
      ->delimiter(',')
      ->required();
  command->add_option("--input-dtype", args->input_dtype, "float32, int64, ...")
      ->capture_default_str();
  AddAllowOp(command, invocation);
  command->callback([invocation, args] {
    invocation->run = [=] { return RunImport(*args, invocation->common); };
  });
}

void AddInspect(CLI::App& app, Invocation* invocation, std::string* file) {
  CLI::App* command = AddCommand(app, invocation, "inspect",
                                 "Show tensors, hashes, signers and operators; runs nothing",
                                 "fedwatt-torch inspect model.fwb");
  command->add_option("FILE", *file, "Bundle")->required();
  AddAllowOp(command, invocation);
  command->callback([invocation, file] {
    invocation->run = [=] { return RunInspect(*file, invocation->common); };
  });
}

void AddExport(CLI::App& app, Invocation* invocation, ExportArgs* args) {
  CLI::App* command = AddCommand(app, invocation, "export",
                                 "Write a TorchScript file that Python opens with torch.jit.load",
                                 "fedwatt-torch export model.fwb -o model.pt");
  command->add_option("FILE", args->file, "Bundle")->required();
  AddOutput(command, &args->output, "TorchScript file to write");
  command->add_flag("--module-only", args->module_only, "Zeros instead of the bundle's tensors");
  AddAllowOp(command, invocation);
  command->callback([invocation, args] {
    invocation->run = [=] { return RunExport(*args, invocation->common); };
  });
}

void AddEvaluate(CLI::App& app, Invocation* invocation, EvaluateArgs* args) {
  CLI::App* command =
      AddCommand(app, invocation, "evaluate", "Loss and accuracy on local data",
                 "fedwatt-torch evaluate model.fwb "
                 "--dataset 'test=idx:/usr/share/datasets/fashion-mnist?split=test'");
  command->add_option("FILE", args->file, "Bundle")->required();
  command->add_option("--dataset", args->dataset, "name=format:path?option=value&...")->required();
  command->add_option("--max-examples", args->max_examples, "At most so many; 0: all")
      ->capture_default_str();
  command->add_option("--device", args->device, "auto | cpu | cuda")->capture_default_str();
  AddAllowOp(command, invocation);
  command->callback([invocation, args] {
    invocation->run = [=] { return RunEvaluate(*args, invocation->common); };
  });
}

void AddUpdate(CLI::App& app, Invocation* invocation, UpdateArgs* args) {
  CLI::App* command =
      AddCommand(app, invocation, "update", "Train a few steps and write the update, uncoded",
                 "fedwatt-torch update model.fwb -o update.f32 "
                 "--dataset 'train=idx:/usr/share/datasets/fashion-mnist?split=train'");
  command->add_option("FILE", args->file, "Bundle")->required();
  command->add_option("--dataset", args->dataset, "name=format:path?option=value&...")->required();
  AddOutput(command, &args->output, "File to write: float32 deltas in manifest order");
  command->add_option("--steps", args->steps, "Of local training")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  command->add_option("--batch-size", args->batch_size, "Examples a step")->capture_default_str();
  command->add_option("--lr", args->lr, "Learning rate of SGD")->capture_default_str();
  command->add_option("--seed", args->seed, "Of the order of examples")->capture_default_str();
  command->add_option("--device", args->device, "auto | cpu | cuda")->capture_default_str();
  AddAllowOp(command, invocation);
  command->callback([invocation, args] {
    invocation->run = [=] { return RunUpdate(*args, invocation->common); };
  });
}

void AddWorker(CLI::App& app, Invocation* invocation, WorkerArgs* args) {
  CLI::App* command = app.add_subcommand("worker", "Train for the fedwatt-client that starts this");
  command->group("");
  command->add_option("--fd", args->fd, "Socket to the client")->required();
  command
      ->add_option("--keep-datasets", args->keep_datasets,
                   "Datasets that stay in memory, where one process trains for many clients")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  AddAllowOp(command, invocation);
  command->callback([invocation, args] {
    invocation->run = [=] { return RunWorker(*args, invocation->common); };
  });
}

void PrintError(const absl::Status& status, bool json) {
  if (json) {
    const nlohmann::json error = {{"error", absl::StatusCodeToString(status.code())},
                                  {"message", std::string(status.message())}};
    std::fprintf(stderr, "%s\n", error.dump().c_str());
  } else {
    std::fprintf(stderr, "fedwatt-torch: %s\n", StatusText(status).c_str());
  }
}

int Main(int argc, char** argv) {
  CLI::App app("Makes, checks and evaluates model bundles for fedwatt", "fedwatt-torch");
  app.require_subcommand(1);
  app.footer(std::string("fedwatt-torch COMMAND --help has an example of each.\n\n") + kExitCodes);
  Invocation invocation;
  NewArgs new_args;
  ImportArgs import_args;
  ExportArgs export_args;
  EvaluateArgs evaluate_args;
  UpdateArgs update_args;
  std::string inspect_file;
  WorkerArgs worker_args;
  AddNew(app, &invocation, &new_args);
  AddImport(app, &invocation, &import_args);
  AddInspect(app, &invocation, &inspect_file);
  AddExport(app, &invocation, &export_args);
  AddEvaluate(app, &invocation, &evaluate_args);
  AddUpdate(app, &invocation, &update_args);
  AddWorker(app, &invocation, &worker_args);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  const absl::Status status = invocation.run();
  if (!status.ok()) PrintError(status, invocation.common.json);
  return ExitCode(status);
}

}  // namespace
}  // namespace fedwatt::tool

int main(int argc, char** argv) { return fedwatt::tool::Main(argc, argv); }
