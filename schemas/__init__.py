"""What things are: value types, errors, settings. No I/O, no clock, no randomness.

Glossary (one word for one thing; the rest of the code keeps to it)

==================== =====================================================================
tenant               owner of collections; the isolation boundary, enforced by the database
collection           a named corpus with one configuration and one active embedding space
image collection     a collection whose items are images: an image is a document with one chunk
source               a place that lists items: a folder or an fsspec URL
document             one item of a source, identified by (source, uri)
document version     the immutable result of given bytes under a given pipeline fingerprint
pipeline fingerprint hash of all that changes the result: parser, cleaning, masking, chunking
chunk                a piece of text, or an image; content-addressed inside its collection
embedding space      what makes vectors comparable: provider, model, revision, dimension, prompt
release              a numbered state of a collection; the unit of activation and time travel
run                  one execution of a flow; leads to at most one release
class                what an image shows, by its folder or its sidecar
prototype            what stands for a class: the mean of its images' unit vectors, or a few of them
prototype set        a numbered version of a collection's prototypes with thresholds, made of one release
event                that something has changed in a source: a hint where to look; the source decides
delivery             one message of a sender, with an id of the sender's; it holds events
sender               who may send messages and documents, by a secret
receiver             the process that takes messages and documents in by HTTP, and stores them
dispatcher           what asks Prefect for a run while events of a collection wait
reindex              a run that looks at named documents, and at nothing else
rejection            a document that was not indexed, with stage and reason; never a silent drop
==================== =====================================================================
"""
