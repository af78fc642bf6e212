// The two tables: commands and flags. Names follow llama.cpp's where it has one.
#include <array>

#include "cli/flags.h"

namespace mortar {
namespace {

constexpr uint32_t kAnswering = kRun | kEdge | kCluster;
constexpr uint32_t kNodes = kEdge | kCoordinator | kWorker | kRelay;
constexpr uint32_t kModelCommands =
    kAnswering | kWorker | kBench | kPerplexity | kCompare | kEmbed | kTokenize | kInspect | kPlan;
constexpr uint32_t kScoring = kPerplexity | kCompare;
constexpr uint32_t kComputing =
    kAnswering | kWorker | kBench | kPerplexity | kCompare | kEmbed | kPlan;
constexpr uint32_t kWithJson = kAllCommands & ~(kCompletion | kCoordinator | kWorker | kRelay);

constexpr CommandSpec kCommands[] = {
    {kRun, "run", "answer one prompt, through edge, coordinator and worker in this process",
     R"(The prompt comes from -p, from a file (-f), or from standard input (-p -, or nothing at
all when standard input is not a terminal). It is put into the model's chat template unless
--raw is given. The answer goes to stdout; the route and one line of figures go to stderr.
Time to first token counts from the entry of main.)",
     R"(mortar run -p "Why is the sky blue?"
mortar run --raw -p "The capital of France is" -n 24 --temp 0
mortar run -f question.txt --workers 2 --front 3 --back 1 --json)"},
    {kCoordinator, "coordinator", "who is there, who hosts what, which route a session takes",
     R"(Nodes dial it. It places the layers between the edges' own on its workers once --workers of
them have joined, so that a token is fastest by what they have measured, grants routes, and
forwards frames between nodes that cannot dial one another. It sees no tensor and no token. Ends
at SIGINT or SIGTERM.)",
     R"(mortar coordinator
mortar coordinator --listen tcp://127.0.0.1:4750 --workers 2 --layers 20,6)"},
    {kWorker, "worker", "host layers for the sessions of many edges",
     R"(Joins a coordinator, loads the layers that it is given, and nothing else of the model.
It has the same model file as the edges, or with --brick-cache fetches its bricks from nodes that
have them. Ends at SIGINT or SIGTERM.)",
     R"(mortar worker
mortar worker --coordinator tcp://127.0.0.1:4750 -t 2 --layers 2-15
mortar worker --brick-cache /var/cache/mortar --brick-cache-size 8G)"},
    {kEdge, "edge", "answer one prompt through a coordinator and workers elsewhere",
     R"(As run, with the layers between --front and --back on workers of a cluster. The text,
the tokens and the logits stay in this process; hidden states cross.)",
     R"(mortar edge -p "Why is the sky blue?"
mortar edge --coordinator tcp://127.0.0.1:4750 -f question.txt --json)"},
    {kRelay, "relay", "forward frames for nodes that cannot be dialled",
     R"(Joins a coordinator. Workers and edges that name it send through it what they cannot
send directly. It reads envelopes and no rows. Ends at SIGINT or SIGTERM.)",
     R"(mortar relay --listen tcp://127.0.0.1:4751 --coordinator tcp://127.0.0.1:4750)"},
    {kKeys, "keys", "keys of nodes, and who may join",
     R"(new makes this node's pair of keys in a file that its owner alone may read, and prints the
public one. allow and revoke change the list of public keys that may dial a node that listens;
nodes that run see the change at once. list shows both. next and promote change the key of a
coordinator or relay that runs: next makes a pair that it serves at another endpoint besides, and
promote makes that one its own and ends the old one.)",
     R"(mortar keys new
mortar keys allow PUBLIC-KEY --role worker --name lab-1
mortar keys revoke PUBLIC-KEY
mortar keys next --listen tcp://10.0.0.1:4752
mortar keys promote
mortar keys list --json)"},
    {kCluster, "cluster",
     "answer one prompt through the ranks of an MPI job, or serve edges elsewhere",
     R"(Started by OpenMPI's mpirun: rank 0 is coordinator and edge, all others are workers, which
host the layers between so that a token is fastest, or equal parts in the order of ranks with
--place even or --tp. Rank 0 alone reads the prompt, from a file (-f) or standard input, and alone
writes the answer; -p only while all ranks are on one machine. With --listen edges and workers
outside the job use it over ZeroMQ, until SIGINT or SIGTERM; with neither -p nor -f rank 0 is
coordinator alone then. As root mpirun wants --allow-run-as-root, for more ranks than cores
--oversubscribe.)",
     R"(mpirun -n 2 --bind-to none mortar cluster -p "Why is the sky blue?"
mpirun -n 3 --host a,b,c --bind-to none mortar cluster --expect-ranks 3 -f question.txt --json
mpirun -n 3 --bind-to none mortar cluster --listen tcp://127.0.0.1:4750)"},
    {kBench, "bench", "measure the speed of prefill and decode, as llama-bench defines them",
     R"(ppN: N random tokens from an empty KV. tgN: N tokens, one by one, from an empty KV.
tgN@B: the same for B sessions in one batch; @dD: from D positions on. gb_s counts the bytes of
weights and of KV that are read; bandwidth_fraction divides it by this machine's memory
bandwidth, measured in the same run with the same number of threads. --roles measures the whole
path through edge, coordinator and worker against the bare forward loop, token by token in
alternation.)",
     R"(mortar bench -t 2
mortar bench -p 0 -n 128 -r 5 --roles
mortar bench -d 0,4096 --batch 1,8,16 --json)"},
    {kPerplexity, "perplexity", "how well a model predicts a text, as llama-perplexity defines it",
     R"(The text is cut into windows of --ctx-size tokens; the second half of each is scored.
Prints the perplexity and its standard error.)",
     R"(mortar perplexity -f text.txt -c 512
mortar perplexity -f text.txt --chunks 4 --json)"},
    {kCompare, "compare", "how far two models, or two settings of one, differ over a text",
     R"(Both sides predict the same text, teacher-forced: the mean divergence of Kullback and
Leibler of side B from side A, both perplexities, how often the likeliest token is the same, and the
largest difference between two logits. Scored are the tokens that perplexity scores. Side B is side
A with what the --against flags change.)",
     R"(mortar compare -f text.txt --against other.gguf
mortar compare -f text.txt --against-kv f32
mortar compare -f text.txt --isa scalar --against-isa avx2)"},
    {kEmbed, "embed", "a text as one row of numbers, whose neighbours mean something alike",
     R"(The text comes from -p, -f or standard input, as for run, and no chat template is applied.
An encoder (bert, nomic-bert) reads it at once, every position the whole of it; a decoder gives
the rows that its head would read. Rows of all positions become one as the model's file says, or
--pooling. Prints the numbers, in one line.)",
     R"(mortar embed -m all-MiniLM-L6-v2.gguf -p "A cat sits on the mat"
mortar embed -m model.gguf -f text.txt --json
mortar embed --pooling mean -p "The same of a decoder")"},
    {kTokenize, "tokenize", "the tokens of a text",
     R"(The text comes from -p, -f or standard input, as for run, and no chat template is applied.
What looks like a special token is plain text unless --special is given.)",
     R"(mortar tokenize -p "Hello world"
mortar tokenize -f text.txt --json)"},
    {kInspect, "inspect", "what a model file holds, as bricks",
     R"(Prints the model's shape and its manifest: every brick with its kind, tensors, bytes,
SHA-256 and sensitivity.)",
     R"(mortar inspect
mortar inspect model.gguf --json)"},
    {kPlan, "plan", "who would host what, with bytes and predicted time per token",
     R"(Layers are placed by the given sizes, as run would place them. The prediction is a few
tokens of the whole model, measured on this machine and shared out by bytes of weights.
With --nodes the machines of a file take part that make a token faster, with the shares that
make it fastest, and the plan says who is left out and why; with --edge-memory the edge may
keep more layers than --front, or all.)",
     R"(mortar plan --workers 2
mortar plan --front 3 --back 1 --workers 2 --layers 20,6 --json
mortar plan --nodes nodes.toml --edge-memory 4G)"},
    {kCompletion, "completion", "a shell's completion script",
     "Prints a script for the shell named.", "source <(mortar completion bash)"},
    {kVersion, "version", "version, numeric contract and this CPU's kernels", "",
     "mortar version --json"},
};

// clang-format off: a flag reads as a paragraph, not as a column.
constexpr FlagSpec kFlags[] = {
    // Where the text comes from.
    {.name = "model", .type = FlagType::kString, .commands = kModelCommands,
     .help = "a GGUF file or a Hugging Face folder", .group = "Model", .shorts = "m",
     .value_name = "FILE", .unset = "SmolLM2-135M-Instruct in the cache", .positional = kInspect},
    {.name = "quantize", .type = FlagType::kChoice, .commands = kModelCommands,
     .help = "what a Hugging Face folder's matrices become",
     .group = "Model", .value_name = "TYPE", .fallback = "none", .choices = "none,q8_0,q4_k"},
    {.name = "prompt", .type = FlagType::kString, .commands = kAnswering | kEmbed | kTokenize,
     .help = "the text; - reads standard input", .group = "Text", .shorts = "p",
     .value_name = "TEXT"},
    {.name = "file", .type = FlagType::kString,
     .commands = kAnswering | kEmbed | kTokenize | kScoring,
     .help = "a file that holds the text; - reads standard input", .group = "Text", .shorts = "f",
     .value_name = "FILE"},
    {.name = "system", .type = FlagType::kString, .commands = kAnswering,
     .help = "the system message of the chat template", .group = "Text", .value_name = "TEXT",
     .unset = "what the model's template says"},
    {.name = "raw", .type = FlagType::kBool, .commands = kAnswering,
     .help = "continue the prompt without a chat template", .group = "Text", .fallback = "false"},
    {.name = "special", .type = FlagType::kBool, .commands = kTokenize,
     .help = "read special tokens in the text as tokens", .group = "Text", .fallback = "false"},

    // Embeddings.
    {.name = "pooling", .type = FlagType::kChoice, .commands = kEmbed,
     .help = "how the rows of a text become one", .group = "Embedding", .value_name = "KIND",
     .unset = "what the model's file says", .choices = "mean,cls,last"},
    {.name = "normalize", .type = FlagType::kBool, .commands = kEmbed,
     .help = "give the row the Euclidean length 1", .group = "Embedding", .fallback = "true"},

    // How much is generated and when it stops.
    {.name = "n-predict", .type = FlagType::kInt, .commands = kAnswering,
     .help = "at most this many tokens", .group = "Generation", .shorts = "n",
     .aliases = "predict", .value_name = "N", .fallback = "128", .min = 1, .max = 1 << 20,
     .refused = "-1",
     .refused_why = "a run without an end holds its memory for ever; give a number, e.g. -n 256"},
    {.name = "stop", .type = FlagType::kStrings, .commands = kAnswering,
     .help = "end where this text would appear; may be repeated", .group = "Generation",
     .value_name = "TEXT"},
    {.name = "stream", .type = FlagType::kBool, .commands = kAnswering,
     .help = "write text as it is generated", .group = "Generation", .fallback = "true"},
    {.name = "json-events", .type = FlagType::kBool, .commands = kAnswering,
     .help = "with --json: before it a line for each route and token",
     .group = "Generation", .fallback = "false"},

    // Sampling.
    {.name = "temp", .type = FlagType::kFloat, .commands = kAnswering,
     .help = "temperature; 0 takes the likeliest token", .group = "Sampling",
     .aliases = "temperature", .value_name = "T", .fallback = "0.8", .min = 0, .max = 100},
    {.name = "top-k", .type = FlagType::kInt, .commands = kAnswering,
     .help = "keep the K likeliest tokens; 0 keeps all", .group = "Sampling", .value_name = "K",
     .fallback = "40", .min = 0, .max = 1 << 20},
    {.name = "top-p", .type = FlagType::kFloat, .commands = kAnswering,
     .help = "keep the likeliest tokens that make up this probability", .group = "Sampling",
     .value_name = "P", .fallback = "0.95", .min = 0, .max = 1},
    {.name = "min-p", .type = FlagType::kFloat, .commands = kAnswering,
     .help = "drop tokens below this part of the likeliest one's probability", .group = "Sampling",
     .value_name = "P", .fallback = "0.05", .min = 0, .max = 1},
    {.name = "repeat-penalty", .type = FlagType::kFloat, .commands = kAnswering,
     .help = "divide the logits of recent tokens by this; 1 is off", .group = "Sampling",
     .value_name = "X", .fallback = "1", .min = 0.01, .max = 100},
    {.name = "repeat-last-n", .type = FlagType::kInt, .commands = kAnswering,
     .help = "how many recent tokens the penalties look at; 0 none, -1 all", .group = "Sampling",
     .value_name = "N", .fallback = "64", .min = -1, .max = 1 << 20},
    {.name = "presence-penalty", .type = FlagType::kFloat, .commands = kAnswering,
     .help = "subtract this from the logits of recent tokens", .group = "Sampling",
     .value_name = "X", .fallback = "0", .min = -2, .max = 2},
    {.name = "frequency-penalty", .type = FlagType::kFloat, .commands = kAnswering,
     .help = "subtract this for each time that a recent token appeared", .group = "Sampling",
     .value_name = "X", .fallback = "0", .min = -2, .max = 2},
    {.name = "seed", .type = FlagType::kInt, .commands = kAnswering,
     .help = "repeats a sampled run", .group = "Sampling", .shorts = "s", .value_name = "S",
     .unset = "a random one, shown in --json", .min = 0, .max = 9007199254740991.0},

    // Guesses at the next tokens.
    {.name = "draft", .type = FlagType::kChoice, .commands = kAnswering,
     .help = "guess tokens, for the same answer sooner",
     .group = "Drafts", .value_name = "KIND", .fallback = "none", .choices = "none,lookup"},
    {.name = "draft-max", .type = FlagType::kInt, .commands = kAnswering,
     .help = "guesses of one step at most, where --draft makes any", .group = "Drafts",
     .value_name = "N", .fallback = "15", .min = 1, .max = 15},

    // The machine.
    {.name = "ctx-size", .type = FlagType::kInt, .commands = kAnswering | kWorker | kPlan,
     .help = "positions of context", .group = "Machine", .shorts = "c", .value_name = "N",
     .unset = "the model's own, at most 4096", .min = 1, .max = 1 << 20},
    {.name = "ctx-size", .type = FlagType::kInt, .commands = kScoring,
     .help = "tokens of a window", .group = "Machine", .shorts = "c", .value_name = "N",
     .fallback = "512", .min = 8, .max = 1 << 20},
    {.name = "threads", .type = FlagType::kInt, .commands = kComputing, .help = "compute threads",
     .group = "Machine", .shorts = "t", .value_name = "N",
     .unset = "one for each physical core that may be used", .min = 1, .max = 256},
    {.name = "threads-batch", .type = FlagType::kInt, .commands = kComputing,
     .help = "compute threads of steps of several positions", .group = "Machine", .shorts = "tb",
     .value_name = "N", .unset = "as --threads", .min = 1, .max = 256},
    {.name = "cpus", .type = FlagType::kString, .commands = kComputing,
     .help = "CPUs that the process is bound to: a list or a mask", .group = "Machine",
     .shorts = "C", .aliases = "cpu-mask", .value_name = "0-3,8", .unset = "those of its affinity"},
    {.name = "ubatch-size", .type = FlagType::kInt,
     .commands = kAnswering | kBench | kScoring,
     .help = "positions of one step of prefill", .group = "Machine", .shorts = "b,ub",
     .aliases = "batch-size", .value_name = "N", .fallback = "512", .min = 1, .max = 512},
    {.name = "kv", .type = FlagType::kChoice, .commands = kComputing & ~kEmbed,
     .help = "what keys and values are stored as", .group = "Machine", .value_name = "TYPE",
     .fallback = "f16", .choices = "f16,f32,q8_0"},
    // They last as long as one text: there is nothing to save.
    {.name = "kv", .type = FlagType::kChoice, .commands = kEmbed,
     .help = "what keys and values are stored as", .group = "Machine", .value_name = "TYPE",
     .fallback = "f32", .choices = "f16,f32,q8_0"},
    {.name = "isa", .type = FlagType::kChoice, .commands = kComputing,
     .help = "the kernels' instruction set", .group = "Machine", .value_name = "ISA",
     .fallback = "auto", .choices = "auto,scalar,avx2,avx512,neon"},

    // The cut.
    {.name = "front", .type = FlagType::kInt, .commands = kAnswering | kPlan | kBench,
     .help = "first layers that stay on the edge", .group = "Cut", .value_name = "K",
     .fallback = "2", .min = 0, .max = 1024},
    {.name = "back", .type = FlagType::kInt, .commands = kAnswering | kPlan | kBench,
     .help = "last layers that stay on the edge", .group = "Cut", .value_name = "K",
     .fallback = "2", .min = 0, .max = 1024},
    {.name = "workers", .type = FlagType::kInt,
     .commands = kRun | kPlan | kBench | kCoordinator,
     .help = "workers that share the layers between", .group = "Cut", .value_name = "W",
     .fallback = "1", .min = 1, .max = 8},
    {.name = "layers", .type = FlagType::kInts,
     .commands = kRun | kPlan | kBench | kCoordinator | kCluster,
     .help = "how many layers each worker hosts, e.g. 20,6", .group = "Cut", .value_name = "N,N",
     .unset = "equal parts", .min = 1, .max = 1024},
    {.name = "place", .type = FlagType::kChoice, .commands = kCoordinator | kCluster,
     .help = "how layers are placed where --layers does not say", .group = "Cut",
     .value_name = "HOW", .fallback = "measured", .choices = "measured,even"},
    {.name = "show-tokens-to-cloud", .type = FlagType::kBool,
     .commands = kAnswering | kPlan | kBench,
     .help = "allow --front 0 and --back 0, where workers can read the text", .group = "Cut",
     .fallback = "false"},
    {.name = "nodes", .type = FlagType::kString, .commands = kPlan,
     .help = "a TOML file of machines to plan for", .group = "Cut",
     .value_name = "FILE", .unset = "workers like this machine"},
    {.name = "edge-memory", .type = FlagType::kString, .commands = kPlan,
     .help = "let the edge keep more than --front, in so much memory, e.g. 8G",
     .group = "Cut", .value_name = "BYTES", .unset = "it does not"},
    {.name = "take-over", .type = FlagType::kChoice, .commands = kEdge,
     .help = "where no worker has layers, compute them here",
     .group = "Cut", .value_name = "WHEN", .fallback = "auto", .choices = "auto,never"},
    {.name = "edge-memory", .type = FlagType::kString, .commands = kEdge,
     .help = "for all layers here, when it takes over, e.g. 8G",
     .group = "Cut", .value_name = "BYTES", .unset = "half of what is free"},

    // Nodes of a cluster.
    {.name = "listen", .type = FlagType::kString, .commands = kCoordinator,
     .help = "where nodes find this one", .group = "Cluster", .value_name = "URL",
     .fallback = "tcp://127.0.0.1:4750"},
    {.name = "listen", .type = FlagType::kString, .commands = kRelay,
     .help = "where nodes find this one", .group = "Cluster", .value_name = "URL",
     .fallback = "tcp://127.0.0.1:4751"},
    {.name = "listen", .type = FlagType::kString, .commands = kWorker,
     .help = "where others find this one; none: through a relay", .group = "Cluster",
     .value_name = "URL", .fallback = "tcp://127.0.0.1:0"},
    {.name = "listen", .type = FlagType::kString, .commands = kCluster,
     .help = "where edges and workers outside the job find rank 0", .group = "Cluster",
     .value_name = "URL", .unset = "the job is closed"},
    {.name = "advertise", .type = FlagType::kString, .commands = kWorker,
     .help = "where others dial this one", .group = "Cluster",
     .value_name = "URL", .unset = "where it listens"},
    {.name = "coordinator", .type = FlagType::kStrings, .commands = kEdge | kWorker | kRelay,
     .help = "the coordinator to join; repeated where there are two",
     .group = "Cluster", .value_name = "URL",
     .fallback = "tcp://127.0.0.1:4750"},
    {.name = "relay", .type = FlagType::kString, .commands = kEdge | kWorker,
     .help = "a relay to prefer over the coordinator's own", .group = "Cluster",
     .value_name = "URL", .unset = "the coordinator's"},
    {.name = "direct", .type = FlagType::kBool, .commands = kEdge | kWorker,
     .help = "dial other nodes where they listen, instead of a relay",
     .group = "Cluster", .fallback = "true"},
    {.name = "layers", .type = FlagType::kString, .commands = kWorker,
     .help = "host these layers alone, e.g. 2-15, without 15",
     .group = "Cluster", .value_name = "A-B", .unset = "as the coordinator likes"},
    {.name = "memory", .type = FlagType::kString, .commands = kWorker,
     .help = "for weights and KV, e.g. 8G", .group = "Cluster", .value_name = "BYTES",
     .unset = "what the machine has free"},
    {.name = "distribute", .type = FlagType::kBool, .commands = kCluster,
     .help = "rank 0 alone reads the model and sends all others their layers", .group = "Cluster",
     .fallback = "false"},
    {.name = "brick-cache", .type = FlagType::kString, .commands = kWorker,
     .help = "a folder for bricks that other nodes send",
     .group = "Cluster", .value_name = "DIR", .unset = "the bricks of --model"},
    {.name = "brick-cache-size", .type = FlagType::kString, .commands = kWorker,
     .help = "bytes of --brick-cache; what was not used for longest goes first",
     .group = "Cluster", .value_name = "8G", .fallback = "16G"},
    {.name = "parallel", .type = FlagType::kInt, .commands = kWorker | kPlan | kCluster,
     .help = "sessions whose KV fits at a time", .group = "Cluster", .shorts = "np",
     .value_name = "N", .fallback = "4", .min = 1, .max = 1024},
    // Sleeping costs some 0.4 ms there and back: a fiftieth of 20.
    {.name = "spin", .type = FlagType::kInt, .commands = kEdge | kWorker | kCluster,
     .help = "ms to wait awake for a frame that should come soon; 0: sleep",
     .group = "Cluster", .value_name = "MS", .fallback = "20", .min = 0, .max = 1000},
    {.name = "keys", .type = FlagType::kString, .commands = kNodes | kCluster,
     .help = "this node's keys: encrypts all its links", .group = "Cluster", .value_name = "FILE",
     .unset = "no encryption"},
    {.name = "index", .type = FlagType::kInt, .commands = kCoordinator,
     .help = "which of the cluster's two coordinators this is",
     .group = "Cluster", .value_name = "N", .fallback = "1", .min = 1, .max = 2},
    {.name = "server-key", .type = FlagType::kStrings, .commands = kEdge | kWorker | kRelay,
     .help = "a coordinator's public key; may be repeated, any of them then",
     .group = "Cluster", .value_name = "KEY"},
    {.name = "relay-key", .type = FlagType::kStrings, .commands = kEdge | kWorker,
     .help = "the same of the relay", .group = "Cluster", .value_name = "KEY"},
    {.name = "allow-list", .type = FlagType::kString,
     .commands = kCoordinator | kWorker | kRelay | kCluster,
     .help = "public keys that may dial this node", .group = "Cluster", .value_name = "FILE"},
    {.name = "expect-ranks", .type = FlagType::kInt, .commands = kCluster,
     .help = "fail unless mpirun started so many ranks, rank 0 among them",
     .group = "Cluster", .value_name = "R", .unset = "any that fit", .min = 2, .max = 65},
    {.name = "tp", .type = FlagType::kInt, .commands = kCluster,
     .help = "ranks that share the layers of one worker: each has its heads and outputs",
     .group = "Cluster", .value_name = "N", .fallback = "1", .min = 1, .max = 8},
    {.name = "name", .type = FlagType::kString, .commands = kEdge | kWorker | kRelay,
     .help = "this node's name, for people", .group = "Cluster", .value_name = "TEXT",
     .unset = "host and process id"},
    {.name = "insecure", .type = FlagType::kBool, .commands = kNodes | kCluster,
     .help = "allow addresses off this machine without keys: all can read and send",
     .group = "Cluster", .fallback = "false"},

    // keys.
    {.name = "action", .type = FlagType::kChoice, .commands = kKeys, .help = "what to do",
     .group = "Keys", .value_name = "ACTION", .fallback = "list",
     .choices = "new,list,allow,revoke,next,promote", .positional = kKeys},
    {.name = "key", .type = FlagType::kString, .commands = kKeys,
     .help = "the public key that is allowed or revoked", .group = "Keys", .value_name = "KEY",
     .positional = kKeys},
    {.name = "role", .type = FlagType::kStrings, .commands = kKeys,
     .help = "as what the key may join: worker, edge or relay; may be repeated", .group = "Keys",
     .value_name = "ROLE"},
    {.name = "name", .type = FlagType::kString, .commands = kKeys,
     .help = "whose key it is, for people", .group = "Keys", .value_name = "TEXT"},
    {.name = "listen", .type = FlagType::kString, .commands = kKeys,
     .help = "next: where a running node serves the new key until it is promoted", .group = "Keys",
     .value_name = "URL"},
    {.name = "keys", .type = FlagType::kString, .commands = kKeys,
     .help = "this node's keys", .group = "Keys", .value_name = "FILE",
     .unset = "~/.config/mortar/node.key"},
    {.name = "allow-list", .type = FlagType::kString, .commands = kKeys,
     .help = "public keys that may dial", .group = "Keys", .value_name = "FILE",
     .unset = "~/.config/mortar/allowed"},

    // bench, perplexity, compare.
    {.name = "n-prompt", .type = FlagType::kInts, .commands = kBench,
     .help = "tokens of the prefill tests; 0 is none", .group = "Tests", .shorts = "p",
     .value_name = "N,N", .fallback = "512", .min = 0, .max = 1 << 17},
    {.name = "n-gen", .type = FlagType::kInts, .commands = kBench,
     .help = "tokens of the decode tests; 0 is none", .group = "Tests", .shorts = "n",
     .value_name = "N,N", .fallback = "128", .min = 0, .max = 1 << 17, .refused = "-1",
     .refused_why = "a test needs an end; give a number, e.g. -n 128"},
    {.name = "repetitions", .type = FlagType::kInt, .commands = kBench,
     .help = "times that each test is measured, after one that is not", .group = "Tests",
     .shorts = "r", .value_name = "N", .fallback = "3", .min = 1, .max = 1000},
    {.name = "batch", .type = FlagType::kInts, .commands = kBench,
     .help = "sessions that decode together", .group = "Tests", .value_name = "N,N",
     .fallback = "1", .min = 1, .max = 512},
    {.name = "depth", .type = FlagType::kInts, .commands = kBench,
     .help = "positions that sessions hold before a test begins", .group = "Tests",
     .shorts = "d", .value_name = "N,N", .fallback = "0", .min = 0, .max = 1 << 20},
    {.name = "roles", .type = FlagType::kBool, .commands = kBench,
     .help = "also measure the path through edge, coordinator and worker", .group = "Tests",
     .fallback = "false"},
    {.name = "chunks", .type = FlagType::kInt, .commands = kScoring,
     .help = "score the first N windows alone", .group = "Tests", .value_name = "N",
     .unset = "all", .min = 1, .max = 1 << 20},
    {.name = "against", .type = FlagType::kString, .commands = kCompare,
     .help = "the model of side B", .group = "Tests", .value_name = "FILE",
     .unset = "the model of side A"},
    {.name = "against-kv", .type = FlagType::kChoice, .commands = kCompare,
     .help = "--kv of side B", .group = "Tests", .value_name = "TYPE", .unset = "as side A",
     .choices = "f16,f32,q8_0"},
    {.name = "against-isa", .type = FlagType::kChoice, .commands = kCompare,
     .help = "--isa of side B", .group = "Tests", .value_name = "ISA", .unset = "as side A",
     .choices = "auto,scalar,avx2,avx512,neon"},

    // General.
    {.name = "shell", .type = FlagType::kChoice, .commands = kCompletion, .help = "the shell",
     .value_name = "SHELL", .fallback = "bash", .choices = "bash,zsh,fish",
     .positional = kCompletion},
    {.name = "json", .type = FlagType::kBool, .commands = kWithJson,
     .help = "print one JSON value and nothing else", .fallback = "false"},
    {.name = "log-level", .type = FlagType::kChoice, .commands = kAllCommands,
     .help = "which events are logged", .value_name = "LEVEL", .fallback = "warning",
     .choices = "debug,info,warning,error,off"},
    {.name = "log-format", .type = FlagType::kChoice, .commands = kAllCommands,
     .help = "how events are logged", .value_name = "FORMAT", .fallback = "text",
     .choices = "text,json"},
    {.name = "verbose", .type = FlagType::kBool, .commands = kAllCommands,
     .help = "the same as --log-level debug", .shorts = "v", .fallback = "false"},
    {.name = "config", .type = FlagType::kString, .commands = kAllCommands,
     .help = "a TOML file with flags as keys; not itself a key", .value_name = "FILE",
     .unset = "none"},
};
// clang-format on

}  // namespace

std::span<const CommandSpec> Commands() { return kCommands; }
std::span<const FlagSpec> Flags() { return kFlags; }

}  // namespace mortar
