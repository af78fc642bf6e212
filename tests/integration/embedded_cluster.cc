#include "tests/integration/embedded_cluster.h"

#include <chrono>
#include <utility>

#include "common/check.h"

namespace mortar {

std::shared_ptr<GgufFile> TinyFile(const TinyModelOptions& options) {
  auto file = GgufFile::FromBytes(MakeTinyModel(options).Bytes(), "tiny.gguf");
  CHECK(file.ok());
  return *file;
}

EngineOptions TinyEngineOptions(int kv_positions, int logit_rows) {
  EngineOptions options;
  options.kv_type = KvType::kF16;
  options.kv_positions_max = kv_positions;
  options.context_max = kTinyContext;
  options.rows_max = kTinyRowsMax;
  options.logit_rows_max = logit_rows;
  return options;
}

std::vector<LayerBrick> TinyBricksOf(const ModelId& model) {
  std::vector<LayerBrick> bricks;
  for (int i = 0; i < model.n_layers; ++i) {
    LayerBrick brick{.layers = {i, i + 1}, .digest = {}, .weight_bytes = 1};
    brick.digest.bytes[0] = static_cast<uint8_t>(i);
    bricks.push_back(brick);
  }
  return bricks;
}

EmbeddedCluster::EmbeddedCluster(std::shared_ptr<GgufFile> file, const ClusterOptions& options)
    : options_(options),
      file_(std::move(file)),
      kernels_(*SelectKernels("")),
      tokenizer_(*Tokenizer::FromGguf(*file_)) {
  const ModelConfig config = *ReadModelConfig(*file_);
  model_ = {.name = "tiny", .digest = {}, .n_layers = config.n_layers, .n_embd = config.n_embd};
  if (options.sim) sim_ = std::make_unique<SimNetwork>(*options.sim, clock_);
  coordinator_transport_ = Attach(kCoordinatorNode);
  CoordinatorOptions coordinator{.workers_expected = options.workers_expected > 0
                                                         ? options.workers_expected
                                                         : options.n_workers,
                                 .sizes = options.sizes,
                                 .measured = !options.ns_per_byte.empty(),
                                 .cut = LayerCut{options.front, options.back}};
  coordinator_ = std::make_unique<Coordinator>(
      std::move(coordinator), Coordinator::Parts{*coordinator_transport_, clock_, random_, log_,
                                                 options.sealed ? &coordinator_keys_ : nullptr});
  AddEdge();
  Drive(coordinator_.get(), nullptr);
  nodes_.resize(static_cast<size_t>(options.n_workers));
  for (int i = 0; i < options.n_workers; ++i) AddWorker(i);
}

EmbeddedCluster::~EmbeddedCluster() = default;

namespace {

// Says in each Hello the key of its node, as a transport with keys does.
class TransportWithKey final : public Transport {
 public:
  TransportWithKey(std::unique_ptr<Transport> inner, const PublicKey& key)
      : inner_(std::move(inner)), key_(key) {}
  NodeId self() const override { return inner_->self(); }
  absl::Status Send(NodeId to, AnyMessage message) override {
    if (auto* hello = std::get_if<Hello>(&message)) hello->key = key_;
    return inner_->Send(to, std::move(message));
  }
  std::optional<Incoming> Poll() override { return inner_->Poll(); }
  std::vector<LinkCounters> Links() const override { return inner_->Links(); }
  size_t BytesOf(const Activation& frame) const override { return inner_->BytesOf(frame); }
  std::string endpoint() const override { return inner_->endpoint(); }
  void Introduce(const Introduction& peer) override { inner_->Introduce(peer); }

 private:
  const std::unique_ptr<Transport> inner_;
  const PublicKey key_;
};

}  // namespace

std::unique_ptr<Transport> WithKey(std::unique_ptr<Transport> transport, const PublicKey& key) {
  return std::make_unique<TransportWithKey>(std::move(transport), key);
}

std::unique_ptr<Transport> EmbeddedCluster::Attach(NodeId node) {
  return sim_ == nullptr ? network_.Attach(node) : sim_->Attach(node);
}

void EmbeddedCluster::AttachNode(Node& node, NodeId id) {
  node.transport = Attach(id);
  if (!options_.sealed) return;
  node.transport = WithKey(std::move(node.transport), node.keys.public_key);
}

std::unique_ptr<JobQueue> EmbeddedCluster::NewJobs() {
  if (sim_ != nullptr) return sim_->NewJobs();
  return std::make_unique<PumpedJobs>();
}

void EmbeddedCluster::Drive(Loop* loop, JobQueue* jobs) {
  switches_.push_back(std::make_unique<Switched>());
  switches_.back()->loop = loop;
  pump_.Add(switches_.back().get(), dynamic_cast<PumpedJobs*>(jobs));
}

absl::StatusOr<std::unique_ptr<Engine>> EmbeddedCluster::LoadParts(std::vector<PartSpec> parts,
                                                                   int kv_positions) const {
  pools_.push_back(*ThreadPool::Create(options_.n_threads));
  const int logit_rows = options_.n_parallel * options_.drafting.step_rows();
  return Engine::Load(*file_, std::move(parts), TinyEngineOptions(kv_positions, logit_rows),
                      *kernels_, *pools_.back());
}

void EmbeddedCluster::AddEdge() {
  const int n_layers = model_.n_layers;
  edge_engine_ = *LoadParts(
      {{true, {0, options_.front}, false}, {false, {n_layers - options_.back, n_layers}, true}},
      kTinyContext * options_.n_parallel);
  AttachNode(edge_node_, kEdgeNode);
  edge_node_.jobs = NewJobs();
  EdgeOptions options;
  options.name = "edge";
  options.model = model_;
  options.front_layers = options_.front;
  options.back_layers = options_.back;
  options.show_tokens_to_cloud = options_.show_tokens_to_cloud;
  options.n_parallel = options_.n_parallel;
  options.rows_max = kTinyRowsMax;
  options.step_deadline = options_.step_deadline;
  options.drafting = options_.drafting;
  options.sealed = options_.sealed;
  LoadMiddle load;
  if (options_.takes_over) {
    loading_ = NewJobs();
    pump_.Add(&loading_loop_, dynamic_cast<PumpedJobs*>(loading_.get()));
    load = [this, n_layers](const std::atomic<bool>&) {
      return LoadParts({{false, {options_.front, n_layers - options_.back}, false}},
                       kTinyContext * options_.n_parallel);
    };
  }
  auto edge = Edge::Create(
      options, {*edge_node_.transport, clock_, *edge_node_.jobs, log_, *edge_engine_, *tokenizer_,
                options_.sealed ? &edge_node_.keys : nullptr, std::move(load), loading_.get()});
  CHECK(edge.ok());
  edge_ = std::move(*edge);
  Drive(edge_.get(), edge_node_.jobs.get());
}

void EmbeddedCluster::AddWorker(int i) {
  Node& node = nodes_[static_cast<size_t>(i)];
  AttachNode(node, WorkerNode(i));
  node.jobs = NewJobs();
  WorkerOptions options;
  options.name = "worker-" + std::to_string(i + 1);
  options.model = model_;
  options.bricks = TinyBricksOf(model_);
  options.rows_max = kTinyRowsMax;
  if (!options_.ns_per_byte.empty()) {
    options.ns_per_byte = options_.ns_per_byte[static_cast<size_t>(i)];
    options.memory_bytes = static_cast<uint64_t>(options_.layers_that_fit);  // bricks of a byte
  }
  const bool bad = i == options_.bad_worker;
  LoadLayers load = [this, bad](const Placement& p) -> absl::StatusOr<std::unique_ptr<Engine>> {
    if (bad) return NotFound("tensor blk.3.attn_q.weight is missing");
    return LoadParts({{false, p.layers, false}}, options_.worker_kv_positions);
  };
  node.worker = std::make_unique<Worker>(
      options, Worker::Parts{*node.transport, clock_, *node.jobs, log_, std::move(load),
                             options_.sealed ? &node.keys : nullptr});
  Drive(node.worker.get(), node.jobs.get());
}

void EmbeddedCluster::Kill(int worker) {
  Node& node = nodes_[static_cast<size_t>(worker)];
  for (const auto& s : switches_) {
    if (s->loop == node.worker.get()) s->dead = &node;
  }
}

void EmbeddedCluster::PumpUntil(const std::function<bool()>& done) {
  int rounds = 0;
  pump_.RunUntil(
      [&] {
        CHECK(++rounds < 5'000'000);  // it hangs
        return done();
      },
      [&] {
        Duration step = std::chrono::milliseconds(100);
        if (sim_ != nullptr && sim_->UntilNext()) step = std::min(step, *sim_->UntilNext());
        clock_.Advance(std::max<Duration>(step, std::chrono::microseconds(1)));
      });
}

Answer EmbeddedCluster::Run(GenerateRequest request) {
  std::vector<GenerateRequest> requests;
  requests.push_back(std::move(request));
  return RunAll(std::move(requests))[0];
}

std::vector<Answer> EmbeddedCluster::RunAll(std::vector<GenerateRequest> requests) {
  std::vector<Answer> answers(requests.size());
  std::vector<RequestId> ids;
  for (GenerateRequest& request : requests) ids.push_back(*edge_->Submit(std::move(request)));
  size_t ended = 0;
  PumpUntil([&] {
    while (std::optional<EdgeOutput> output = edge_->PollOutput()) {
      size_t i = 0;
      while (i < ids.size() && ids[i] != output->request) ++i;
      if (i == ids.size()) continue;  // of an earlier one: what its hops sent
      if (auto* routed = std::get_if<Routed>(&output->what)) {
        answers[i].hops = std::move(routed->hops);
      } else if (auto* token = std::get_if<TokenOut>(&output->what)) {
        answers[i].tokens.push_back(token->token);
        answers[i].text += token->text;
      } else if (auto* finished = std::get_if<Finished>(&output->what)) {
        answers[i].finished = std::move(*finished);
        answers[i].text += answers[i].finished.text;
        ++ended;
      }
    }
    return ended == requests.size();
  });
  return answers;
}

LinkCounters EmbeddedCluster::Sent(NodeId from, NodeId to) const {
  const Transport* transport = edge_node_.transport.get();
  for (const Node& node : nodes_) {
    if (node.transport->self() == from) transport = node.transport.get();
  }
  for (const LinkCounters& link : transport->Links()) {
    if (link.to == to) return link;
  }
  return {.to = to};
}

std::vector<Token> DecodeAlone(const GgufFile& file, const GenerateRequest& request,
                               const std::function<void()>& after_first) {
  const int n_layers = ReadModelConfig(file)->n_layers;
  const std::unique_ptr<ThreadPool> pool = *ThreadPool::Create(1);
  EngineOptions options = TinyEngineOptions(kTinyContext, 1);
  options.rows_max = kTinyContext;
  auto engine =
      *Engine::Load(file, {{true, {0, n_layers}, true}}, options, **SelectKernels(""), *pool);
  KvTable kv;
  CHECK(engine->kv().Reserve(kv, 0, kTinyContext).ok());
  Sampler sampler(request.sampler);
  std::vector<Token> log = request.prompt;
  std::vector<float> logits(static_cast<size_t>(engine->config().n_vocab));
  size_t done = 0;
  for (int i = 0; i < request.n_predict; ++i) {
    std::vector<BatchRow> rows;
    for (size_t p = done; p < log.size(); ++p) rows.push_back({&kv, static_cast<int>(p)});
    const int last = static_cast<int>(rows.size()) - 1;
    engine->Run(0, {.rows = rows,
                    .tokens = std::span(log).subspan(done),
                    .logit_rows = {&last, 1},
                    .logits = logits.data()});
    done = log.size();
    log.push_back(sampler.Sample(logits, log, static_cast<uint64_t>(i)));
    if (i == 0) after_first();
  }
  return {log.begin() + static_cast<std::ptrdiff_t>(request.prompt.size()), log.end()};
}

}  // namespace mortar
